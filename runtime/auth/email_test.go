package auth_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sluice-edge/sluice/runtime/auth"
)

func TestNormalizeEmail(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain address is kept", "ada@example.com", "ada@example.com"},
		{"case and spaces go", "  Ada.Lovelace@Example.COM\n", "ada.lovelace@example.com"},
		{"tag is kept", "ada+news@example.com", "ada+news@example.com"},
		{"composed and decomposed are one", "jose\u0301@example.com", "josé@example.com"},
		{"domain becomes ASCII", "ada@Bücher.example", "ada@xn--bcher-kva.example"},
		{"full-width domain becomes ASCII", "ada@ｅｘａｍｐｌｅ.com", "ada@example.com"},
		{"longest address passes", strings.Repeat("a", 64) + "@" + strings.Repeat("b", 31) + ".com", strings.Repeat("a", 64) + "@" + strings.Repeat("b", 31) + ".com"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := auth.NormalizeEmail(c.in); err != nil || got != c.want {
				t.Fatalf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", "Email is required."},
		{"blank", " \t\n", "Email is required."},
		{"no at", "ada.example.com", "Invalid email format."},
		{"two ats", "ada@home@example.com", "Invalid email format."},
		{"no local part", "@example.com", "Invalid email format."},
		{"no domain", "ada@", "Invalid email format."},
		{"bare host", "ada@localhost", "Invalid email format."},
		{"empty label", "ada@example..com", "Invalid email format."},
		{"trailing dot in local", "ada.@example.com", "Invalid email format."},
		{"double dot in local", "a..da@example.com", "Invalid email format."},
		{"numeric top level", "ada@10.0.0.1", "Invalid email format."},
		{"one letter top level", "ada@example.c", "Invalid email format."},
		{"dash at label end", "ada@exa-.com", "Invalid email format."},
		{"inner space", "a da@example.com", "Invalid email format."},
		{"header injection", "ada@example.com\r\nBcc: eve@example.com", "Invalid email format."},
		{"NUL", "ada\x00@example.com", "Invalid email format."},
		{"zero-width space", "a\u200bda@example.com", "Invalid email format."},
		{"soft hyphen", "a\u00adda@example.com", "Invalid email format."},
		{"right-to-left override", "\u202eada@example.com", "Invalid email format."},
		{"Hangul filler", "a\u3164da@example.com", "Invalid email format."},
		{"variation selector", "a\ufe0fda@example.com", "Invalid email format."},
		{"not UTF-8", "a\xffda@example.com", "Invalid email format."},
		{"quoted local", `"ada"@example.com`, "Invalid email format."},
		{"comma", "ada,eve@example.com", "Invalid email format."},
		{"angle brackets", "<ada@example.com>", "Invalid email format."},
		{"long local", strings.Repeat("a", 65) + "@example.com", "Invalid email format."},
		{"101 code points", strings.Repeat("a", 50) + "@" + strings.Repeat("b", 46) + ".com", "Email is too long."},
		{"megabytes", strings.Repeat("a@", 1<<20), "Email is too long."},
	} {
		t.Run(c.name+" is refused", func(t *testing.T) {
			got, err := auth.NormalizeEmail(c.in)
			var input *auth.InputError
			if !errors.As(err, &input) || input.Field != "email" || input.Message != c.want || err.Error() != c.want || got != "" {
				t.Fatalf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func FuzzNormalizeEmail(f *testing.F) {
	for _, s := range []string{"ada@example.com", " Ada@Bücher.example", "jose\u0301@example.com", "İ@example.com", "a@xn--bcher-kva.de", "ß@ß.de", "\u1e9e@x.de", "Ω\u0345@x.gr", "ΑΣ@x.gr"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		out, err := auth.NormalizeEmail(in)
		if err != nil {
			return
		}
		if again, err := auth.NormalizeEmail(out); err != nil || again != out {
			t.Fatalf("%q -> %q -> %q, %v: not a fixed point", in, out, again, err)
		}
		if strings.Count(out, "@") != 1 || strings.ContainsAny(out, " \r\n\t\x00,;<>\"") || len(out) > 254 {
			t.Fatalf("%q -> %q", in, out)
		}
	})
}

func TestValidatePassword(t *testing.T) {
	for _, c := range []struct {
		name, password string
		min            int
		want           string
	}{
		{"8 characters pass by default", "8f3q1z7x", 0, ""},
		{"7 do not", "1234567", 0, "Password must be at least 8 characters."},
		{"empty does not", "", 0, "Password must be at least 8 characters."},
		{"a project may ask for 6", "8f3q1z", 6, ""},
		{"and then 5 do not pass", "12345", 6, "Password must be at least 6 characters."},
		{"but for no less than 6", "12345", 1, "Password must be at least 6 characters."},
		{"a project may ask for 15", "12345678901234", 15, "Password must be at least 15 characters."},
		{"characters count, not bytes", "ééééééé", 0, "Password must be at least 8 characters."},
		{"128 pass", strings.Repeat("é", 128), 0, ""},
		{"129 do not", strings.Repeat("é", 129), 0, "Password is too long."},
		{"spaces count", "        ", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) { wantInput(t, auth.ValidatePassword(c.password, c.min), "password", c.want) })
	}
}

func TestValidateUsername(t *testing.T) {
	for _, c := range []struct{ name, username, want string }{
		{"3 characters pass", "ada", ""},
		{"any script passes", "адá", ""},
		{"50 pass", strings.Repeat("é", 50), ""},
		{"2 do not", "ad", "Username must be at least 3 characters."},
		{"padding does not count", " ad ", "Username must be at least 3 characters."},
		{"51 do not", strings.Repeat("é", 51), "Username must be between 3 and 50 characters."},
		{"zero-width does not", "ad\u200ba", "Username must not contain invisible characters."},
		{"bidi does not", "ad\u202ea", "Username must not contain invisible characters."},
		{"NUL does not", "ad\x00a", "Username must not contain invisible characters."},
		{"broken UTF-8 does not", "ad\xffa", "Username must not contain invisible characters."},
	} {
		t.Run(c.name, func(t *testing.T) { wantInput(t, auth.ValidateUsername(c.username), "username", c.want) })
	}
}

func wantInput(t *testing.T, err error, field, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		return
	}
	var input *auth.InputError
	if !errors.As(err, &input) || input.Field != field || input.Message != want || !utf8.ValidString(input.Message) {
		t.Fatalf("got %v, want %q", err, want)
	}
}
