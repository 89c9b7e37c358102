// Command guest is the demo project's guest module: a policy on the price of a post, and a hook that gives each post a
// slug made from its title.
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

func policy(e *sluice.Event) sluice.Decision {
	if price, ok := e.After.Number("price"); ok && price > maxPrice {
		return sluice.Deny("posts.price_too_high", "The price of a post can be at most 100. Lower it and try again.")
	}
	return sluice.Allow()
}

func hook(e *sluice.Event) sluice.Decision {
	title, ok := e.After.String("title")
	if !ok {
		return sluice.Allow() // the schema refuses a post without a title, in better words
	}
	return sluice.Replace(sluice.Edit(e.After).SetString("slug", slug(title)).Object())
}

// slug turns a title into the last part of an address: ASCII letters in lower case and digits, single dashes between
// words. A title without any of these gives "post".
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
	if b.Len() == 0 {
		return "post"
	}
	return b.String()
}
