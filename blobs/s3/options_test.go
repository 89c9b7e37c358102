package s3_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/blobs/s3"
)

func valid() s3.Options {
	return s3.Options{Endpoint: "https://s3.example.com", Bucket: "files", AccessKey: "key", SecretKey: "secret"}
}

func TestOptions(t *testing.T) {
	if _, err := s3.Open(valid()); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name   string
		change func(*s3.Options)
		says   string // part of the error; none is expected if empty
	}{
		{"nothing", func(o *s3.Options) { *o = s3.Options{} }, "a bucket is needed"},
		{"no scheme", func(o *s3.Options) { o.Endpoint = "s3.example.com" }, "http:// or https://"},
		{"a path", func(o *s3.Options) { o.Endpoint += "/files" }, "http:// or https://"},
		{"a password in the address", func(o *s3.Options) { o.Endpoint = "https://a:b@s3.example.com" }, "http:// or https://"},
		{"a slash at the end", func(o *s3.Options) { o.Endpoint += "/" }, ""},
		{"another public address", func(o *s3.Options) { o.Public = "http://localhost:9000" }, ""},
		{"a bad public address", func(o *s3.Options) { o.Public = "localhost:9000" }, "public endpoint"},
		{"a prefix", func(o *s3.Options) { o.Prefix = "node-1/a_b.c" }, ""},
		{"a prefix from the root", func(o *s3.Options) { o.Prefix = "/node" }, "prefix"},
		{"a prefix with a space", func(o *s3.Options) { o.Prefix = "my node" }, "prefix"},
		{"a prefix with an empty part", func(o *s3.Options) { o.Prefix = "a//b" }, "prefix"},
		{"an unknown style", func(o *s3.Options) { o.Style = "dns" }, "style"},
		{"half of the keys", func(o *s3.Options) { o.SecretKey = "" }, "belong together"},
		{"no keys", func(o *s3.Options) { o.AccessKey, o.SecretKey = "", "" }, "either"},
		{"keys and a file", func(o *s3.Options) { o.CredentialsFile = "x" }, "either"},
		{"small parts", func(o *s3.Options) { o.PartSize = 1 << 20 }, "parts"},
		{"small copies", func(o *s3.Options) { o.CopySize = 5 << 20 }, "copies"},
		{"a negative timeout", func(o *s3.Options) { o.Timeout = -1 }, "negative"},
		{"no such authorities", func(o *s3.Options) { o.CAFile = "no such file" }, "authorities"},
		{"a bucket in capitals", func(o *s3.Options) { o.Bucket = "My_Bucket!" }, ""}, // the service's business
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := valid()
			c.change(&o)
			_, err := s3.Open(o)
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Fatalf("%v", err)
			}
		})
	}
}

func TestProjectNames(t *testing.T) {
	s, err := s3.Open(valid())
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "a/b", "..", ".", "a b", "ü", "a\x00"} {
		if _, err := s.Project(bad, "node"); err == nil {
			t.Errorf("%q is taken for a project", bad)
		}
	}
	if _, err := s.Project("Ab_9-x", "node"); err != nil {
		t.Error(err)
	}
}

func TestCredentialsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credentials")
	write := func(text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	const text = "[default]\naws_access_key_id = key\naws_secret_access_key = secret\n[other]\naws_access_key_id = half\n"
	o := valid()
	o.AccessKey, o.SecretKey, o.CredentialsFile = "", "", path
	for _, c := range []struct {
		name, text, profile string
		mode                os.FileMode
		says                string
	}{
		{"for its owner", text, "", 0o600, ""},
		{"for reading only", text, "default", 0o400, ""},
		{"for the group", text, "", 0o640, "chmod 600"},
		{"for everybody", text, "", 0o604, "chmod 600"},
		{"half a profile", text, "other", 0o600, "partial"},
		{"no such profile", text, "third", 0o600, "third"},
		{"nothing", "", "", 0o600, "default"},
	} {
		t.Run(c.name, func(t *testing.T) {
			write(c.text, c.mode)
			o.Profile = c.profile
			_, err := s3.Open(o)
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Fatalf("%v", err)
			}
		})
	}
	o.CredentialsFile += "2"
	if _, err := s3.Open(o); err == nil {
		t.Error("no such file")
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	o := valid()
	o.AccessKey, o.SecretKey, o.SessionToken = "AKIA-hidden", "s-hidden", "t-hidden"
	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("options", "o", o, "key", o.SecretKey)
	for _, text := range []string{fmt.Sprintf("%v", o), fmt.Sprintf("%+v", o), fmt.Sprintf("%#v", o), fmt.Sprintf("%s %q", o.SecretKey, o.SecretKey), logged.String()} {
		if strings.Contains(text, "hidden") {
			t.Errorf("printed: %s", text)
		}
	}
}
