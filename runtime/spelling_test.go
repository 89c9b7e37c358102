package runtime

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/bits"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// What is promised about names that look like the owner field: only the member whose name is exactly the ownerField, once
// JSON's escapes are read, decides ownership. Every other name is another field and decides nothing, whatever it looks
// like: `USERID` and `ｕserId` can be stored beside the owner, as any undeclared field can, and give nobody a right. Names
// that differ only by what the contract forbids in names (outer space, BOM, control and zero-width characters, `$`, and
// in inserts dots) are refused, since a reader who trims would take them for the owner field itself.

const spellingProject = `
name: spelling
auth: {enabled: true}
collections:
  - name: users
    fields: [{key: email, type: String, required: true}, {key: password, type: String, required: true}]
  - name: private
    fields: [{key: text, type: String}, {key: userId, type: String}]
    rls: {enabled: true, mode: private}
  - name: loose
    fields: []
    rls: {enabled: true, mode: public-read}
`

const ownerKey = "userId"

// spelling is a body that tries to name the victim as the owner.
type spelling struct{ name, body string }

// spellings makes the bodies: members are put where OWNER stands in an object, victim and me are JSON strings.
func spellings(me, victim string) (list []spelling) {
	seen := map[string]bool{}
	add := func(name, body string) {
		if !seen[body] {
			seen[body] = true
			list = append(list, spelling{name, body})
		}
	}
	// key adds the ways in which a JSON key (with its quotes) can stand in a body.
	key := func(name, quoted string) {
		add(name, fmt.Sprintf(`{"text":"x",%s:%s}`, quoted, victim))
		add(name+", before the owner", fmt.Sprintf(`{%s:%s,"userId":%s,"text":"x"}`, quoted, victim, me))
		add(name+", behind the owner", fmt.Sprintf(`{"userId":%s,"text":"x",%s:%s}`, me, quoted, victim))
	}
	plain := func(name, text string) { key(name, string(jsondoc.AppendString(nil, text))) }

	for _, r := range paddings {
		c := string(r)
		for name, text := range map[string]string{"before": c + ownerKey, "behind": ownerKey + c, "around": c + ownerKey + c, "within": "user" + c + "Id", "twice": c + c + ownerKey} {
			plain(fmt.Sprintf("U+%04X %s", r, name), text)
		}
		key(fmt.Sprintf("U+%04X escaped", r), fmt.Sprintf(`"%suserId"`, escaped(r)))
	}
	for mask := 1; mask < 64; mask++ { // each letter in full width, in upper or lower case, escaped
		plain(fmt.Sprintf("full width %06b", mask), byMask(mask, func(c byte) string { return string(rune(c) - '!' + '\uff01') }))
		plain(fmt.Sprintf("case %06b", mask), byMask(mask, func(c byte) string { return string(rune(c) ^ 0x20) }))
		plain(fmt.Sprintf("mathematical bold %06b", mask), byMask(mask, func(c byte) string { return string(mathematical(c, 0x1d400)) }))
		key(fmt.Sprintf("escaped %06b", mask), `"`+byMask(mask, func(c byte) string { return fmt.Sprintf(`\u%04x`, c) })+`"`)
		key(fmt.Sprintf("escaped in capitals %06b", mask), `"`+byMask(mask, func(c byte) string { return fmt.Sprintf(`\u%04X`, c) })+`"`)
	}
	for base := rune(0x1d400); base <= 0x1d670; base += 52 { // the alphabets of mathematics
		plain(fmt.Sprintf("alphabet U+%X", base), byMask(63, func(c byte) string { return string(mathematical(c, base)) }))
	}
	for _, twin := range []string{"ⓤⓢⓔⓡⒾⓓ", "ᵘserId", "uſerId", "usₑrId", "userⅠd", "userIⅾ", "usᵉʳId", "userＩd", "uѕerId", "usеrId", "սserId", "userІd", "userＩD", "userıd", "userİd", "user\u0049\u0307d",
		"u\u0301serId", "userId\u0301", "userId\u20dd", "us\u0435rId", "user_id", "user-id", "UserID", "userid", "USERID", "user Id", "ownerId", "uid", "userIds", "_userId", "__userId", "userId_"} {
		plain("twin "+twin, twin)
	}
	for _, dotted := range []string{"userId.x", "userId.", ".userId", "userId..x", "userId.0", "userId.$", "a.userId", "userId.userId", "$userId", "$set", "$set.userId", "userId$", "$", "", ".", "__proto__.userId", "userId[0]", "[userId]", "userId\x00", "userId\x00x", "\x00userId", "userId/", "/userId", "userId%20"} {
		plain("path "+dotted, dotted)
	}
	for name, body := range map[string]string{
		"plain":                      `{"userId":V}`,
		"twice, victim first":        `{"userId":V,"userId":M}`,
		"twice, victim last":         `{"userId":M,"userId":V}`,
		"twice, once escaped":        `{"userId":M,"\u0075serId":V}`,
		"twice, both escaped":        `{"u\u0073erId":M,"\u0075serId":V}`,
		"lone surrogate":             `{"userId\ud800":V}`,
		"an array":                   `[{"userId":V}]`,
		"an array of two":            `[{"userId":M},{"userId":V}]`,
		"an empty array":             `[]`,
		"nested":                     `{"doc":{"userId":V}}`,
		"nested twice":               `{"doc":{"userId":M,"userId":V}}`,
		"nested padded":              `{"doc":{" userId":V}}`,
		"nested in an array":         `{"list":[{"userId":V}]}`,
		"nested padded in an array":  `{"list":[{"userId\ufeff":V}]}`,
		"operator":                   `{"$set":{"userId":V}}`,
		"rename":                     `{"text":"x","$rename":{"text":"userId"}}`,
		"value in an array":          `{"userId":[V]}`,
		"values in an array":         `{"userId":[M,V]}`,
		"value in an object":         `{"userId":{"$eq":V}}`,
		"value in a plain object":    `{"userId":{"id":V}}`,
		"number":                     `{"userId":5}`,
		"true":                       `{"userId":true}`,
		"null":                       `{"userId":null}`,
		"empty":                      `{"userId":""}`,
		"space":                      `{"userId":" "}`,
		"own, padded":                `{"userId":" M "}`,
		"prototype":                  `{"__proto__":{"userId":V}}`,
		"constructor":                `{"constructor":{"prototype":{"userId":V}}}`,
		"server's members":           `{"_id":"64a000000000000000000099","createdAt":"x","updatedAt":"y","__v":7,"userId":V}`,
		"owner under another's name": `{"owner":V,"ownerField":"author","author":V}`,
	} {
		add(name, strings.NewReplacer("V", victim, `" M "`, `" `+me[1:len(me)-1]+` "`, "M", me).Replace(body))
	}
	upper := strings.ToUpper(victim)
	for _, value := range []string{upper, `" ` + victim[1:], victim[:len(victim)-1] + ` "`, victim[:len(victim)-1] + `\u0000"`, `"\ufeff` + victim[1:], strings.ToUpper(me), `" ` + me[1:], `"\u0020` + me[1:],
		me[:len(me)-1] + `\u200b"`, `"` + strings.Repeat("0", 24) + `"`} {
		add("value "+value, fmt.Sprintf(`{"userId":%s}`, value))
	}
	return list
}

// paddings are characters that are not seen, or not much, beside a name.
var paddings = func() (list []rune) {
	for r := rune(1); r <= 0x20; r++ {
		list = append(list, r)
	}
	list = append(list, 0x7f, 0x80, 0x85, 0x9f, 0xa0, 0xad, 0x34f, 0x61c, 0x115f, 0x1160, 0x1680, 0x17b4, 0x180b, 0x180e, 0x2800, 0x3000, 0x3164, 0xfe00, 0xfe0f, 0xfeff, 0xffa0, 0xfff9, 0xfffb, 0xfffc, 0xe0001, 0xe0020, 0xe007f, 0xe0100)
	for r := rune(0x2000); r <= 0x200f; r++ {
		list = append(list, r)
	}
	for r := rune(0x2028); r <= 0x202f; r++ {
		list = append(list, r)
	}
	for r := rune(0x205f); r <= 0x206f; r++ {
		list = append(list, r)
	}
	return list
}()

// escaped is a character as JSON's \u escapes.
func escaped(r rune) string {
	if r < 0x10000 {
		return fmt.Sprintf(`\u%04x`, r)
	}
	r -= 0x10000
	return fmt.Sprintf(`\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
}

// byMask rewrites those letters of the owner key whose bit is set.
func byMask(mask int, rewrite func(byte) string) string {
	var b strings.Builder
	for i := range len(ownerKey) {
		if bits.Reverse8(uint8(mask))>>2>>i&1 == 1 {
			b.WriteString(rewrite(ownerKey[i]))
		} else {
			b.WriteByte(ownerKey[i])
		}
	}
	return b.String()
}

// mathematical is a letter in one of the alphabets of mathematics, which have all capitals and then all small letters.
func mathematical(c byte, base rune) rune {
	if c >= 'a' {
		return base + 26 + rune(c-'a')
	}
	return base + rune(c-'A')
}

// trimmed is a name as a reader sees it who drops what cannot be seen and is forbidden by the contract.
func trimmed(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == 0xfeff || 0x200b <= r && r <= 0x200f || r == 0x2060 {
			return -1
		}
		return r
	}, strings.TrimFunc(name, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == 0xfeff }))
}

// folded is a name as the most careless reader sees it.
func folded(name string) string {
	visible := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Mn, r) || unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) {
			return -1
		}
		return r
	}, name)
	return cases.Fold().String(norm.NFKC.String(visible))
}

// TestOwnerSpellings: however a body spells the owner's name, what is stored belongs to the caller, and to nobody else in
// any way that shows.
func TestOwnerSpellings(t *testing.T) {
	n := newTestNode(t)
	p := n.apply(spellingProject)
	me, mine, _ := p.signup("me@example.com")
	victim, theirs, _ := p.signup("victim@example.com")
	list := spellings(`"`+me+`"`, `"`+victim+`"`)
	if len(list) < 1000 {
		t.Fatalf("only %d spellings", len(list))
	}
	as := func(token string) []string { return []string{"x-api-key", p.pk, "Authorization", "Bearer " + token} }
	accepted, requests, updates, failed := 0, 0, 0, 0
	lookalikes := map[string]bool{}
	for _, collection := range []string{"private", "loose"} {
		base := "/api/data/" + collection
		const mineID, theirID = "64a000000000000000000001", "64a000000000000000000002"
		doc := func(id, owner string) stock {
			return stock{collection, id, fmt.Sprintf(`{"_id":%q,"text":"before","userId":%q,"createdAt":"2026-01-01T00:00:00.000Z","updatedAt":"2026-01-01T00:00:00.000Z"}`, id, owner)}
		}
		p.put(doc(mineID, me), doc(theirID, victim))
		for i, s := range list {
			if collection == "loose" && i%3 != 0 {
				continue // the same code under other rules: a third of them will do
			}
			update := [...]string{"PUT", "PATCH"}[i%2] // which are the same
			for _, target := range []struct{ method, id string }{{"POST", ""}, {update, mineID}, {update, theirID}} {
				fail := func(format string, args ...any) {
					if failed++; failed <= 20 {
						t.Errorf("%s, %s %s/%s %s: %s", s.name, target.method, collection, target.id, s.body, fmt.Sprintf(format, args...))
					}
				}
				path := base
				if target.id != "" {
					path += "/" + target.id
				}
				before := p.state()
				requests++
				status, body := n.do(target.method, path, s.body, as(mine)...)
				if status >= 400 {
					if status >= 500 || status == 409 {
						fail("%d %s", status, body)
					}
					if p.state() != before {
						fail("a refused write changed something: %d %s", status, body)
					}
					continue
				}
				accepted++
				id := target.id
				if id == "" {
					raw, _ := jsondoc.Lookup(body, "_id")
					id = string(jsondoc.Unquote(nil, raw))
				}
				stored := p.stored(collection, id)
				if target.id == theirID {
					fail("wrote another's document: %s", stored)
				}
				if why := ownedOnlyBy(stored, me, victim, lookalikes); why != "" {
					fail("%s: %s", why, stored)
				}
				// What is promised is what shows: the caller has it, the victim has not.
				if status, _ := n.do("GET", base+"/"+id, "", as(mine)...); status != 200 {
					fail("the caller cannot read it: %d", status)
				}
				if status, body := n.do("GET", base+"/"+id, "", as(theirs)...); collection == "private" && status != 404 {
					fail("the victim can read it: %d %s", status, body)
				}
				if _, body := n.do("GET", base+"?count=true&_id="+id, "", as(theirs)...); collection == "private" && !bytes.Contains(body, []byte(`"count":0}`)) {
					fail("the victim's list holds it: %s", body)
				}
				if status, body := n.do("PATCH", base+"/"+id, `{"text":"theirs"}`, as(theirs)...); status < 400 {
					fail("the victim can write it: %d %s", status, body)
				}
				if updates++; updates%50 == 0 || failed > 0 { // before it has more members than are allowed
					p.put(doc(mineID, me), doc(theirID, victim))
				}
			}
		}
	}
	t.Logf("%d spellings, %d requests, %d accepted; %d look-alikes can be stored as fields of their own", len(list), requests, accepted, len(lookalikes))
	if failed > 0 {
		t.Errorf("%d failures", failed)
	}
	if accepted == 0 {
		t.Error("nothing was accepted, so nothing was tested")
	}
}

// forbidden finds a name that the contract forbids, at any depth: one that a reader who trims, or who knows paths and
// operators, would take for another.
func forbidden(v any) string {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if norm.NFC.String(trimmed(name)) != norm.NFC.String(name) || strings.Contains(name, ".") || strings.HasPrefix(name, "$") || name == "" {
				return name
			}
			if bad := forbidden(member); bad != "" {
				return bad
			}
		}
	case []any:
		for _, item := range v {
			if bad := forbidden(item); bad != "" {
				return bad
			}
		}
	}
	return ""
}

// ownedOnlyBy says what is wrong with a stored document: it must name the caller as owner, once, by the exact name, and
// hold no name that the contract forbids. Names that only look like the owner field's are noted.
func ownedOnlyBy(doc []byte, me, victim string, lookalikes map[string]bool) string {
	dec := json.NewDecoder(bytes.NewReader(doc))
	owners, problem := 0, ""
	if _, err := dec.Token(); err != nil {
		return err.Error()
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err.Error()
		}
		var value any
		if err := dec.Decode(&value); err != nil {
			return err.Error()
		}
		name := key.(string)
		if bad := forbidden(map[string]any{name: value}); bad != "" {
			problem = fmt.Sprintf("the name %+q was stored", bad)
		}
		switch {
		case name == ownerKey:
			if owners++; value != me {
				problem = fmt.Sprintf("the owner is %v", value)
			}
		case folded(name) == folded(ownerKey):
			if value == victim {
				lookalikes[name] = true
			}
		}
	}
	if owners != 1 {
		return fmt.Sprintf("%d owners", owners)
	}
	return problem
}
