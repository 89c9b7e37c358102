package project

import (
	"regexp"
	"testing"
	"time"
)

func TestParseDate(t *testing.T) {
	good := map[string]string{
		"2026-11-23":                      "2026-11-23T00:00:00.000Z",
		"2026-11-23T14:25":                "2026-11-23T14:25:00.000Z",
		"2026-11-23 14:25:03":             "2026-11-23T14:25:03.000Z",
		"2026-11-23T14:25:03Z":            "2026-11-23T14:25:03.000Z",
		"2026-11-23t14:25:03z":            "2026-11-23T14:25:03.000Z",
		"2026-11-23T14:25:03.1Z":          "2026-11-23T14:25:03.100Z",
		"2026-11-23T14:25:03.1239999Z":    "2026-11-23T14:25:03.123Z",
		"2026-11-23T14:25:03,5Z":          "2026-11-23T14:25:03.500Z",
		"2026-11-23T14:25:03+02:00":       "2026-11-23T12:25:03.000Z",
		"2026-11-23T14:25:03-0530":        "2026-11-23T19:55:03.000Z",
		"2026-11-23T14:25+02":             "2026-11-23T12:25:00.000Z",
		"2026-12-31T23:30:00-01:00":       "2027-01-01T00:30:00.000Z",
		"2024-02-29":                      "2024-02-29T00:00:00.000Z",
		"2000-02-29":                      "2000-02-29T00:00:00.000Z",
		"0000-01-01":                      "0000-01-01T00:00:00.000Z",
		"9999-12-31T23:59:59.999Z":        "9999-12-31T23:59:59.999Z",
		" 2026-11-23 ":                    "2026-11-23T00:00:00.000Z",
		"Mon, 23 Nov 2026 14:25:03 GMT":   "2026-11-23T14:25:03.000Z",
		"Mon, 23 Nov 2026 14:25:03 UTC":   "2026-11-23T14:25:03.000Z",
		"Mon, 23 Nov 2026 14:25:03 +0100": "2026-11-23T13:25:03.000Z",
	}
	for in, want := range good {
		d, ok := parseDate([]byte(in))
		if got := string(d.append(nil)); !ok || got != want {
			t.Errorf("%q is %s, %v, want %s", in, got, ok, want)
		}
	}
	for _, in := range []string{
		"", "now", "2026", "2026-11", "20261123", "2026-1-2", "2026-13-01", "2026-00-01", "2026-11-31", "2026-11-00", "2023-02-29", "1900-02-29",
		"2026-11-23T", "2026-11-23T14", "2026-11-23T24:00:00Z", "2026-11-23T14:60:00Z", "2026-11-23T14:25:60Z", "2026-11-23T14:25:03.Z",
		"2026-11-23T14:25:03 Z", "2026-11-23T14:25:03+24:00", "2026-11-23T14:25:03+01:", "2026-11-23T14:25:03+1", "2026-11-23T14:25:03Zx",
		"2026-11-23x", "2026-11-23T14:25:03+01:00:00", "0000-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "-2026-11-23", "1700000000000",
		"Mon, 23 Nov 2026 14:25:03 EST", "Mon, 31 Nov 2026 14:25:03 GMT", "Monday, 23 Nov 2026 14:25:03 GMT", "2026-11-2３",
	} {
		if d, ok := parseDate([]byte(in)); ok {
			t.Errorf("%q is read as %s", in, d.append(nil))
		}
	}
}

// The parser agrees with the time package, and its output is its own fixed point.
func FuzzParseDate(f *testing.F) {
	f.Add("2026-11-23T14:25:03.123+02:00")
	f.Add("Mon, 23 Nov 2026 14:25:03 GMT")
	f.Add("2024-02-30")
	// time.Parse is laxer than the RFC: it also reads hours of one digit and offsets of a day and more.
	strict := regexp.MustCompile(`^.{10}T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)
	f.Fuzz(func(t *testing.T, in string) {
		d, ok := parseDate([]byte(in))
		if want, err := time.Parse(time.RFC3339Nano, in); err == nil && strict.MatchString(in) {
			want = want.UTC()
			if inRange := want.Year() >= 0 && want.Year() <= 9999; ok != inRange || ok && string(d.append(nil)) != Timestamp(want.Truncate(time.Millisecond)) {
				t.Fatalf("%q is %s, %v, want %v", in, d.append(nil), ok, want)
			}
		}
		if !ok {
			return
		}
		out := d.append(nil)
		if again, ok := parseDate(out); !ok || again != d {
			t.Fatalf("%q becomes %s, which becomes %s", in, out, again.append(nil))
		}
		if _, err := time.Parse("2006-01-02T15:04:05.000Z", string(out)); err != nil {
			t.Fatalf("%q becomes %s: %v", in, out, err)
		}
	})
}

func TestFormats(t *testing.T) {
	cases := map[string]struct{ good, bad []string }{
		formatEmail: {
			[]string{"a@b.co", "first.last+tag@mail.example.com", "o'neil@x-y.example", "ü@bücher.example", "a@xn--bcher-kva.example"},
			[]string{"", "a", "@b.co", "a@", "a@b", "a@b.c", "a b@c.de", "a@b..co", "a@-b.co", "a@b-.co", ".a@b.co", "a.@b.co", "a..b@c.de", "a@b@c.de", "a@b.12",
				"<a@b.co>", "a@b.co\n", "a,b@c.de", `"a"@b.co`, "a@b_c.de"},
		},
		formatURL: {
			[]string{"http://x", "https://x.example/a/b?c=d#e", "https://user@x.example:8443/", "http://[::1]/", "https://x.example/%20"},
			[]string{"", "x.example", "ftp://x.example", "javascript:alert(1)", "//x.example", "https://", "https:///path", "https://x y", "https://x/\"", "http://x/\x01", "https://:80/"},
		},
		formatColor: {[]string{"#000000", "#aAbBcC"}, []string{"", "#fff", "000000", "#00000g", "#0000000", "red"}},
		formatSlug:  {[]string{"a", "a-b", "2026-in-review", "0"}, []string{"", "-a", "a-", "a--b", "A", "a_b", "a b", "é"}},
	}
	for format, tc := range cases {
		for _, s := range tc.good {
			if !hasFormat(format, []byte(s)) {
				t.Errorf("%q is a %s", s, format)
			}
		}
		for _, s := range tc.bad {
			if hasFormat(format, []byte(s)) {
				t.Errorf("%q is no %s", s, format)
			}
		}
	}
}
