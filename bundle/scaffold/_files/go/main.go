// Command posts guards the collection posts: a policy on its prices, and a hook that makes slugs and keeps locked posts
// as they are.
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

// maxPrice is the highest price that a post may ask.
const maxPrice = 100

// policy answers: may this caller do this?
func policy(e *sluice.Event) sluice.Decision {
	if price, ok := e.After.Number("price"); ok && price > maxPrice {
		return sluice.Deny("posts.price_too_high", "Set a price of 100 or less.")
	}
	return sluice.Allow()
}

// hook answers: shall the document be so?
func hook(e *sluice.Event) sluice.Decision {
	if was, _ := e.Before.Bool("locked"); was {
		if is, _ := e.After.Bool("locked"); is {
			return sluice.Reject("posts.locked", "Unlock the post first.").WithStatus(409)
		}
	}
	title, ok := e.After.String("title")
	if !ok {
		return sluice.Allow() // the schema refuses a post without a title, in better words
	}
	return sluice.Replace(sluice.Edit(e.After).SetString("slug", slug(title)).Object())
}

// slug turns a title into the last part of an address: ASCII letters in lower case and digits, with one dash between words.
func slug(title string) string {
	var b strings.Builder
	dash := false
	for _, c := range []byte(title) {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			dash = b.Len() > 0
			continue
		}
		if dash {
			b.WriteByte('-')
			dash = false
		}
		b.WriteByte(c)
	}
	return b.String()
}
