// Command example is a guest that shows each thing that a policy and a hook can do. It is also the conformance guest of
// this SDK: package hooktest runs it over vectors that every SDK's example must pass.
package main

import (
	"strings"

	sluice "github.com/sluice-edge/sluice/sdk/go"
)

func init() {
	sluice.Policy(policy)
	sluice.Hook(hook)
}

func main() {}

// policy: members write for their teams, anybody reads what is public, owners read and delete what is theirs, nobody asks for more than 100.
func policy(e *sluice.Event) sluice.Decision {
	switch e.Op {
	case sluice.Insert, sluice.Update:
		if price, ok := e.After.Number("price"); ok && price > 100 {
			return sluice.Deny("example.price_too_high", "Set a price of 100 or less.")
		}
		if team, ok := e.After.String("teamId"); ok && !memberOf(team, e) {
			return sluice.Deny("example.not_a_member", "Join the team first.")
		}
		return sluice.Allow()
	case sluice.Delete:
		if !owns(e, e.Before) {
			return sluice.Deny("example.not_yours", "Only its owner can delete this.").WithStatus(404)
		}
		if id, ok := e.Before.String("_id"); ok {
			for range sluice.Find("comments", sluice.Where(sluice.Eq("postId", id)).Limit(1)) {
				return sluice.Deny("example.has_comments", "Delete its comments first.").WithStatus(409)
			}
		}
		return sluice.Allow()
	case sluice.Read:
		return sluice.AllowEach(e, func(document sluice.Object) bool {
			public, _ := document.Bool("public")
			return public || owns(e, document)
		})
	case sluice.Filter:
		public := sluice.Eq("public", true)
		if !e.Caller.LoggedIn() {
			return sluice.Restrict(sluice.Where(public))
		}
		return sluice.Restrict(sluice.AnyOf(sluice.All(public), sluice.All(sluice.Eq("userId", e.Caller.UserID))))
	}
	return sluice.Decision{} // an operation that this policy does not know: no
}

func owns(e *sluice.Event, document sluice.Object) bool {
	owner, ok := document.String("userId")
	return ok && e.Caller.LoggedIn() && owner == e.Caller.UserID
}

func memberOf(team string, e *sluice.Event) bool {
	return e.Caller.LoggedIn() && sluice.Count("members", sluice.Where(sluice.Eq("teamId", team), sluice.Eq("userId", e.Caller.UserID))) > 0
}

// hook: new documents get a slug and the time, locked ones stay as they are.
func hook(e *sluice.Event) sluice.Decision {
	switch e.Name {
	case sluice.EventBeforeInsert:
		title, ok := e.After.String("title")
		if !ok {
			return sluice.Reject("example.title_missing", "Give the document a title.")
		}
		return sluice.Replace(sluice.Edit(e.After).
			SetString("slug", slug(title)).
			SetInt("seenAt", e.Now).
			Remove("draft").
			Object())
	case sluice.EventBeforeUpdate, sluice.EventBeforeDelete:
		if locked, _ := e.Before.Bool("locked"); locked {
			sluice.Log(sluice.Info, "refused to touch a locked document")
			return sluice.Reject("example.locked", "Unlock the document first.").WithStatus(409)
		}
		if original, ok := e.After.String("copyOf"); ok && !sluice.Get("posts", original).Exists() {
			return sluice.Reject("example.no_original", "Copy something that exists.")
		}
		return sluice.Allow()
	case sluice.EventBeforeSignup:
		if _, ok := e.After.String("email"); !ok {
			return sluice.Reject("example.no_email", "Give an email address.")
		}
		return sluice.Replace(sluice.Edit(e.After).SetString("plan", "free").Object())
	case sluice.EventClaims:
		return claims(e)
	case sluice.EventBeforeUpload:
		if size, ok := e.After.Number("size"); ok && size > 1_000_000 {
			return sluice.Reject("example.file_too_large", "Make the file smaller.").WithStatus(413)
		}
		return sluice.Allow()
	}
	return sluice.Decision{}
}

// claims: a token says what role a user has, and where.
func claims(e *sluice.Event) sluice.Decision {
	if blocked, _ := e.Before.Bool("blocked"); blocked {
		return sluice.Deny("example.blocked", "This account is blocked.")
	}
	b := sluice.NewObject()
	if role, ok := e.Before.String("role"); ok {
		b.SetString("role", role)
	}
	if site != "" {
		b.SetString("site", site)
	}
	return sluice.Grant(b.Object())
}

// site is what the manifest's config says. What init functions read is what every event finds.
var site, _ = sluice.Config().String("site")

// slug keeps letters and digits of ASCII, in lower case, and puts one dash in place of anything else between them.
func slug(title string) string {
	var b strings.Builder
	dash := false
	for i := 0; i < len(title); i++ {
		c := title[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			if dash && b.Len() > 0 {
				b.WriteByte('-')
			}
			dash = false
			b.WriteByte(c)
		} else {
			dash = true
		}
	}
	return b.String()
}
