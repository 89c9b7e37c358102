// Command price is the policy of the comparison, as a guest in Go: nobody asks for more than 100.
package main

import sluice "github.com/sluice-edge/sluice/sdk/go"

func init() { sluice.Policy(policy) }

func main() {}

func policy(e *sluice.Event) sluice.Decision {
	if price, ok := e.After.Number("price"); ok && price <= 100 {
		return sluice.Allow()
	}
	return sluice.Deny("price_too_high", "Set a price of 100 or less.")
}
