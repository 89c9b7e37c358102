// Command guest is the guest of the pipeline's tests: what it does is chosen by the document it is asked about.
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

// policy allows a document whose a and b are together at most 100, whichever of them was just written.
func policy(e *sluice.Event) sluice.Decision {
	switch {
	case e.Op == sluice.Filter:
		return filter(e)
	case e.Op == sluice.Read:
		return sluice.AllowEach(e, func(doc sluice.Object) bool {
			if broken, _ := doc.Bool("broken"); broken {
				panic("told to")
			}
			owner, _ := doc.String("userId")
			shared, _ := doc.Bool("shared")
			return shared || owner == e.Caller.UserID && owner != ""
		})
	case e.Collection == "teamposts":
		return member(e)
	case e.Collection == "staff":
		if role, _ := e.Caller.Claims.String("role"); role != "staff" {
			sluice.Log(sluice.Warn, "somebody else: "+role)
			return sluice.Deny("staff.only", "This is for the staff.")
		}
		return sluice.Allow()
	}
	do, _ := e.After.String("policy")
	switch do {
	case "trap":
		panic("told to")
	case "loop":
		for {
		}
	case "exact": // only what will be stored is judged: trimmed, with its defaults
		text, _ := e.After.String("text")
		kind, _ := e.After.String("kind")
		if text != strings.TrimSpace(text) || kind != "plain" {
			return sluice.Deny("not.exact", "The policy saw bytes that are not what will be stored.")
		}
	}
	a, _ := e.After.Number("a")
	b, _ := e.After.Number("b")
	if a+b > 100 {
		return sluice.Deny("sum.too_high", "a and b may be 100 together. Lower one of them.")
	}
	return sluice.Allow()
}

// filter lets a user find its own documents and those that are for all.
func filter(e *sluice.Event) sluice.Decision {
	switch e.Caller.UserID {
	case "":
		return sluice.Deny("log.in", "Log in to read this.")
	case "eeeeeeeeeeeeeeeeeeeeeeee":
		panic("told to")
	}
	return sluice.Restrict(sluice.AnyOf(sluice.All(sluice.Eq("userId", e.Caller.UserID)), sluice.All(sluice.Eq("shared", true))))
}

// member allows what the members of a team do. "by" says how membership is looked up.
func member(e *sluice.Event) sluice.Decision {
	if e.Collection == "users" {
		return changed(e)
	}
	doc := e.After
	if e.Op == sluice.Delete {
		doc = e.Before
	}
	team, _ := doc.String("teamId")
	in := sluice.Where(sluice.Eq("teamId", team), sluice.Eq("userId", e.Caller.UserID))
	found := false
	switch by, _ := doc.String("by"); by {
	case "id":
		id, _ := doc.String("membership")
		of, _ := sluice.Get("members", id).String("userId")
		found = of == e.Caller.UserID
	case "find":
		for range sluice.Find("members", in) {
			found = true
		}
	case "users": // what a guest may know about a user
		m := sluice.Get("users", e.Caller.UserID)
		found = m.Exists() && !m.Has("password")
	case "passwords":
		found = sluice.Count("users", sluice.Where(sluice.Gt("password", "a"))) > 0
	case "ungranted":
		found = sluice.Count("pairs", sluice.Where()) == 0
	default:
		found = sluice.Count("members", in) > 0
	}
	if !found {
		return sluice.Deny("not.a_member", "Join the team first.")
	}
	return sluice.Allow()
}

// account is about signups and claims: what it does is chosen by the name.
func account(e *sluice.Event) sluice.Decision {
	profile := e.After
	if e.Op == sluice.Claims {
		profile = e.Before
	}
	name, _ := profile.String("name")
	switch _, password := profile.String("password"); {
	case password:
		return sluice.Reject("saw.password", "A guest sees passwords.")
	case name == "trap "+e.Name:
		panic("told to")
	case e.Op == sluice.Claims && name == "blocked":
		return sluice.Deny("blocked", "This account is blocked.")
	case e.Op == sluice.Claims:
		role, _ := profile.String("plan")
		return sluice.Grant(sluice.NewObject().SetString("role", role).Object())
	case name == "reject":
		return sluice.Reject("not.here", "Not with this name.")
	case name == "admin":
		return sluice.Replace(sluice.Edit(profile).SetString("role", "admin").Object())
	case name == "verified":
		return sluice.Replace(sluice.Edit(profile).SetBool("emailVerified", true).Object())
	case name == "other":
		return sluice.Replace(sluice.Edit(profile).SetString("email", "other@example.com").Object())
	}
	return sluice.Replace(sluice.Edit(profile).SetString("plan", name).SetString("undeclared", "x").Object())
}

// changed is about users who change or delete their account: what it does is chosen by the name.
func changed(e *sluice.Event) sluice.Decision {
	if e.Before.Has("password") || e.After.Has("password") {
		return sluice.Reject("saw.password", "A guest sees passwords.")
	}
	if name, _ := e.Before.String("name"); e.Op == sluice.Delete {
		if name == "needed" {
			return sluice.Reject("needed", "Hand your team over first.")
		}
		return sluice.Allow()
	}
	switch name, _ := e.After.String("name"); name {
	case "trap":
		panic("told to")
	case "reject":
		return sluice.Reject("not.here", "Not with this name.")
	case "admin":
		return sluice.Replace(sluice.Edit(e.After).SetString("role", "admin").Object())
	case "other":
		return sluice.Replace(sluice.Edit(e.After).SetString("email", "other@example.com").Object())
	case "hacked":
		return sluice.Replace(sluice.Edit(e.After).SetString("password", "x").Object())
	case "number":
		return sluice.Replace(sluice.Edit(e.After).SetNumber("plan", 1).Object())
	default:
		return sluice.Replace(sluice.Edit(e.After).SetString("plan", name).Object())
	}
}

func hook(e *sluice.Event) sluice.Decision {
	if e.Op == sluice.Signup || e.Op == sluice.Claims {
		return account(e)
	}
	if e.Collection == "users" {
		return changed(e)
	}
	doc := e.After
	do, _ := doc.String("hook")
	switch do {
	case "fill":
		return sluice.Replace(sluice.Edit(doc).SetString("needed", "made by the hook").Object())
	case "move":
		return sluice.Replace(sluice.Edit(doc).SetString("userId", "aaaaaaaaaaaaaaaaaaaaaaaa").Object())
	case "id":
		return sluice.Replace(sluice.Edit(doc).SetString("_id", "aaaaaaaaaaaaaaaaaaaaaaaa").Object())
	case "dollar":
		return sluice.Replace(sluice.Edit(doc).SetString("$where", "1").Object())
	case "reject":
		return sluice.Reject("not.today", "Come back tomorrow.")
	case "trap":
		panic("told to")
	}
	return sluice.Allow()
}
