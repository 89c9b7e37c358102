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

func hook(e *sluice.Event) sluice.Decision {
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
