package project

import "testing"

// A browser app on a listed domain works; one on a look-alike domain is kept out.
func TestDomains(t *testing.T) {
	d := NewDomains([]string{"https://app.example", "api.example", "*.shop.example", "http://localhost:5173"})
	for origin, want := range map[string]bool{
		"https://app.example":         true,
		"https://app.example:443":     true,
		"https://APP.example":         true,
		"http://app.example":          false, // the scheme counts in a full origin
		"https://app.example:8443":    false, // and so does the port
		"http://api.example:9000":     true,  // a bare host is any scheme and port
		"https://evil-api.example":    false,
		"https://shop.example":        true,
		"https://a.b.shop.example":    true,
		"https://evilshop.example":    false, // only on a label boundary
		"http://localhost:5173":       true,
		"http://localhost:5174":       false,
		"https://shop.example.evil":   false,
		"https://app.example.evil":    false,
		"https://user@app.example":    false,
		"null":                        false,
		"file:///etc/passwd":          false,
		"https://":                    false,
		"http://[::1]:80":             false,
		"https://app.example/path":    true, // a Referer carries a path
		"javascript://app.example/%0": false,
	} {
		o, err := ParseOrigin(origin)
		if got := err == nil && d.Allows(o); got != want {
			t.Errorf("%s: allowed = %v, want %v", origin, got, want)
		}
	}
	if o, _ := ParseOrigin("https://anything.example"); !NewDomains([]string{"*"}).Allows(o) {
		t.Error("* must allow every origin")
	}
	if o, _ := ParseOrigin("https://anything.example"); NewDomains(nil).Allows(o) {
		t.Error("an empty list must allow none")
	}
}
