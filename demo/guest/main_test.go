package main

import (
	"testing"

	sluice "github.com/sluice-edge/sluice/sdk/go"
)

func TestSlug(t *testing.T) {
	for _, test := range []struct{ title, want string }{
		{"Hello, World!", "hello-world"},
		{"  spaces  around  ", "spaces-around"},
		{"100% Go", "100-go"},
		{"Grüße", "gr-e"},
		{"日本", "post"},
		{"", "post"},
		{"a-b", "a-b"},
	} {
		if got := slug(test.title); got != test.want {
			t.Errorf("slug(%q) = %q, want %q", test.title, got, test.want)
		}
	}
}

func TestPolicyReadsOnlyNumbersAsPrices(t *testing.T) {
	for _, test := range []struct {
		name, after string
		allow       bool
	}{
		{"a price at the limit is allowed", `{"price":100}`, true},
		{"a price above it is denied", `{"price":100.01}`, false},
		{"a price with an exponent is denied", `{"price":1e3}`, false},
		{"no price is allowed", `{}`, true},
		{"what is no number is the schema's business", `{"price":"101"}`, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, err := sluice.ParseEvent([]byte(`{"event":"policy","op":"insert","after":` + test.after + `}`))
			if err != nil {
				t.Fatal(err)
			}
			if got := policy(e); got.Allows() != test.allow {
				t.Errorf("policy = %v, want allow %v", got, test.allow)
			}
		})
	}
}
