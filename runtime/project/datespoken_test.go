package project

import "testing"

// TestParseSpokenDate: what JavaScript's Date.parse makes of these texts where the local zone is UTC, and what nobody can
// make a date of.
func TestParseSpokenDate(t *testing.T) {
	for in, want := range map[string]string{
		"2026":                                "2026-01-01T00:00:00.000Z",
		"2026-11":                             "2026-11-01T00:00:00.000Z",
		"2026/1/2":                            "2026-01-02T00:00:00.000Z",
		"2026-1-2":                            "2026-01-02T00:00:00.000Z",
		"1/2/2026":                            "2026-01-02T00:00:00.000Z",
		"12-31-1999":                          "1999-12-31T00:00:00.000Z",
		"1/2/26":                              "2026-01-02T00:00:00.000Z",
		"1/2/70 3:04":                         "1970-01-02T03:04:00.000Z",
		"Jan 2, 2026":                         "2026-01-02T00:00:00.000Z",
		"January 2 2026":                      "2026-01-02T00:00:00.000Z",
		"2 jan 2026":                          "2026-01-02T00:00:00.000Z",
		"2-Jan-2026":                          "2026-01-02T00:00:00.000Z",
		"2026 Jan 2":                          "2026-01-02T00:00:00.000Z",
		"Nov 2026":                            "2026-11-01T00:00:00.000Z",
		"Sept. 3, 2026 12:05 AM":              "2026-09-03T00:05:00.000Z",
		"9/3/2026, 3:04:05 PM":                "2026-09-03T15:04:05.000Z",
		"Friday, 2 January 2026 15:04:05 UTC": "2026-01-02T15:04:05.000Z",
		"Fri Jan 02 2026 15:04:05 GMT+0100 (Central European Standard Time)": "2026-01-02T14:04:05.000Z",
		"Fri Jan 02 2026":                "2026-01-02T00:00:00.000Z",
		"Fri, 02 Jan 2026 15:04:05 EST":  "2026-01-02T20:04:05.000Z",
		"Fri Jan  2 15:04:05 2026":       "2026-01-02T15:04:05.000Z",
		"2026/01/02 15:04:05.678 +02:00": "2026-01-02T13:04:05.678Z",
		"2026-01-02T24:00:00Z":           "2026-01-03T00:00:00.000Z",
		"2026/01/02 23:59 GMT-1":         "2026-01-03T00:59:00.000Z",
	} {
		d, ok := parseSpokenDate([]byte(in))
		if got := string(d.append(nil)); !ok || got != want {
			t.Errorf("%q is %s, %v, want %s", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "now", "tomorrow", "5", "20260102", "1700000000000", "hello 5", "Feb 30 2026", "2026-13", "31/1/2026", "1/2", "Jan 2", "Jan 2 2026 25:00",
		"Jan 2 2026 13:00 PM", "Jan 2 2026 0:30 am", "2026-01-02T10:61:00Z", "Jan Feb 2 2026", "1/2/3/2026", "2026-01-02 10:00 +25:00", "(Jan 2 2026", "Jan 2 2026 GMT", "12:00", "2026 12:00",
		"Jan 2 2026 10:00:5", "Jan 2 2026 1:1", "Jan 2 2026 +01:00", "\u0662026-01-02"} {
		if d, ok := parseSpokenDate([]byte(in)); ok {
			t.Errorf("%q is read as %s", in, d.append(nil))
		}
	}
}

// Whatever is sent, what is read as a date is one, and is read again as the same.
func FuzzParseSpokenDate(f *testing.F) {
	for _, s := range []string{"Fri Jan 02 2026 15:04:05 GMT+0100 (Central European Standard Time)", "9/3/2026, 3:04:05 PM", "2-Jan-2026", "2026-11", "1/2/70 3:04 +1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		d, ok := parseSpokenDate([]byte(in))
		if !ok {
			return
		}
		if again, ok := parseDate(d.append(nil)); !ok || again != d {
			t.Errorf("%q is %s, which is read as %s, %v", in, d.append(nil), again.append(nil), ok)
		}
	})
}
