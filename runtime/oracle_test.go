package runtime

import "slices"

// cell is one combination of the authorization matrix. Its members are words of the axes below, so that a failure can
// be read aloud.
type cell struct{ credential, token, mode, ownerField, op, doc, policy string }

// The axes. A project "B" lives beside the project "A" that is meant, with documents of its own under the very ids of
// A's, so that whoever mixes up two projects finds something to show.
var (
	credentials = []string{"none", "bad", "pk", "sk", "pk of B", "sk of B"}
	tokens      = []string{"none", "garbage", "expired", "owner", "other user", "user of B", "refresh"}
	modes       = []string{"off", "public-read", "private", "custom"}
	ownerFields = []string{"userId", "author"}
	readOps     = []string{"list", "get", "count", "cursor", "stolen cursor", "populate", "populate one"}
	insertOps   = []string{"insert", "insert over", "insert over in another's name", "insert array"}
	updateOps   = []string{"put", "patch", "patch stale", "steal", "give", "disown"}
	ops         = append(append(append([]string{}, readOps...), append(insertOps, updateOps...)...), "delete")
	policies    = []string{"none", "allow", "deny", "trap"} // on writes

	// readers are policies on reads, and filters, in place of those on writes; "filter all" finds every document.
	readers = []string{"read allow", "read deny", "read trap", "filter all", "filter none"}

	// docs is whose document is asked for. For "insert", which has none, it is who the body says is the owner: nobody by
	// leaving the member out ("unowned"), by null ("null") or by "" ("missing"), two at once ("shared") or a number
	// ("malformed", which elsewhere is an id that is none). A document whose owner field is anything but one user's id
	// belongs to nobody.
	docs = []string{"own", "other's", "unowned", "null", "shared", "missing", "malformed"}
)

// verdict is what the contract says of a cell.
type verdict struct {
	status int
	reason string // of a refusal, or the first word of it
	sees   bool   // the answer shows the document, or counts it
	stands string // populate: what stands in the reference's place: document, id or null
	owner  string // who owns the document after an accepted write; "as sent" or "as it was"
}

// bindsReads reports whether the cell's policy has a say in reads rather than in writes.
func (c cell) bindsReads() bool { return slices.Contains(readers, c.policy) }

func refuse(status int, reason string) verdict { return verdict{status: status, reason: reason} }

// judge is the oracle: the contract's rules in the order in which they are checked, the first failure wins. It is
// written from docs/api.md and knows nothing of how the server does it.
func judge(c cell) verdict {
	// 1. The key says which project and whether the access rules bind.
	if c.credential == "none" || c.credential == "bad" {
		return refuse(401, "key")
	}
	trusted := c.credential == "sk" || c.credential == "sk of B"
	inB := c.credential == "pk of B" || c.credential == "sk of B"

	// 2. A token is good in the project that issued it, or the request ends here, whatever the key.
	user := userOf(c.token, inB)
	if user == "?" {
		return refuse(401, "token")
	}
	malformed := c.doc == "malformed"
	exists := c.doc != "missing" && !malformed
	mine := user != "" && ownerOf(c.doc, inB) == user
	custom := !trusted && c.mode == "custom" // policies alone decide
	reader := ""                             // what has a say in reads
	if !trusted && c.bindsReads() {
		reader = c.policy
	}
	open := trusted || c.mode != "private" // whether the rule lets all documents be read
	ruled := exists && (open || mine)      // whether it lets this one
	visible := ruled && (reader == "" && !custom || reader == "read allow" || reader == "filter all")

	// 3. Reads. RLS off and public-read are open, private shows one's own, and custom what a policy on reads lets through. Such a
	// policy, or a filter, must agree in the other modes too.
	switch c.op {
	case "populate", "populate one": // the referring document is everybody's; its target obeys its own rules
		switch {
		case visible:
			return verdict{status: 200, sees: true, stands: "document"}
		case reader == "read trap" && ruled:
			return refuse(403, "policy")
		case open && !malformed && !custom && reader == "":
			return verdict{status: 200, stands: "null"}
		}
		return verdict{status: 200, stands: "id"} // missing and hidden look the same
	case "list", "get", "count", "cursor", "stolen cursor":
		switch {
		case custom && reader == "":
			return refuse(403, "rls.no_policy")
		case !open && user == "":
			return refuse(401, "token")
		case malformed && c.op == "get":
			return refuse(400, "document")
		case malformed:
			return refuse(400, "query")
		case reader == "read trap" && ruled:
			return refuse(403, "policy")
		case c.op == "get" && !visible:
			return refuse(404, "document")
		case c.op == "stolen cursor" && (trusted || inB || !open && user != "alice"):
			return refuse(400, "query") // it was made for alice with A's publishable key; a list that all see alike is all's
		}
		return verdict{status: 200, sees: visible}
	}

	// 4. Writes with a publishable key want rules and somebody who is logged in; where policies alone decide, a policy first.
	if custom && (c.policy == "none" || reader != "") {
		return refuse(403, "rls.no_policy")
	}
	if !trusted && c.mode == "off" {
		return refuse(403, "rls.required")
	}
	if !trusted && user == "" {
		return refuse(401, "token")
	}
	policy := func(accepted verdict) verdict { // the last to be asked, and never about a secret key
		if !trusted && (c.policy == "deny" || c.policy == "trap") {
			return refuse(403, "policy")
		}
		return accepted
	}
	switch c.op {
	case "insert array":
		return refuse(400, "body")
	case "insert", "insert over", "insert over in another's name":
		inAnothersName := c.op == "insert over in another's name" || c.op == "insert" && (c.doc == "own" || c.doc == "other's" || c.doc == "shared" || malformed) && !mine
		switch {
		case !trusted && !custom && inAnothersName:
			return refuse(403, "rls.owner_mismatch")
		case c.op != "insert" && malformed:
			return refuse(400, "document")
		case c.op != "insert" && exists:
			return refuse(409, "document")
		case c.op == "insert" && (c.doc == "shared" || malformed) && c.ownerField == "userId":
			return refuse(400, "schema") // declared a String
		case trusted:
			return verdict{status: 201, owner: "as sent"} // no owner is filled in for a secret key
		case custom && (inAnothersName || c.doc == "shared" || malformed): // an owner that is named stays
			return policy(verdict{status: 201, owner: "as sent"})
		}
		return policy(verdict{status: 201, owner: user})
	}
	if malformed {
		return refuse(400, "document")
	}
	if custom && (!exists || c.op == "patch stale" || c.policy != "allow") {
		return refuse(404, "document") // nobody can read here, so that a refusal looks like a missing document
	}
	if !ruled {
		return refuse(404, "document") // where the rule lets nobody read it, a foreign document is a missing one
	}
	movesOwner := c.op == "give" || c.op == "disown"
	switch {
	case custom: // who owns a document means what the policy makes of it
		if c.op == "steal" || movesOwner {
			return verdict{status: 200, owner: "as sent"}
		}
		return verdict{status: 200, owner: "as it was"}
	case !trusted && movesOwner:
		return refuse(403, "rls.owner_immutable") // said first, also of a foreign document
	case !trusted && !mine:
		return refuse(403, "rls.not_owner")
	case c.op == "patch stale":
		return refuse(412, "document")
	case c.op == "steal" || movesOwner:
		return policy(verdict{status: 200, owner: "as sent"})
	}
	return policy(verdict{status: 200, owner: "as it was"})
}

// userOf is who a token makes its bearer, "" for nobody and "?" for a token that is no good in that project.
func userOf(token string, inB bool) string {
	switch {
	case token == "none":
		return ""
	case token == "owner" && !inB:
		return "alice"
	case token == "other user" && !inB:
		return "bob"
	case token == "user of B" && inB:
		return "dave"
	}
	return "?"
}

// ownerOf is whose a document is.
func ownerOf(doc string, inB bool) string {
	switch {
	case doc == "own" && inB:
		return "dave"
	case doc == "own":
		return "alice"
	case doc == "other's":
		return "bob"
	}
	return ""
}
