package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestClientReportsWhatTheNodeSays(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"the detail", 404, `{"title":"Not Found","status":404,"detail":"Project not found."}`, "Project not found."},
		{"the title when there is no detail", 409, `{"title":"Conflict"}`, "Conflict"},
		{"the status when there is neither", 503, `{}`, "Service Unavailable"},
		{"each problem on a line", 400, `{"detail":"Not valid.","errors":["a: bad",{"path":"b","message":"worse"},{"message":"worst"}]}`, "Not valid.\n  a: bad\n  b: worse\n  worst"},
		{"what is no problem answer", 502, `<html>`, "is it a Sluice admin URL?"},
		{"an answer that is no JSON", 200, `OK`, "not the JSON expected"},
		{"a redirect, which is not followed", 302, ``, "is it a Sluice admin URL?"},
	} {
		t.Run(c.name, func(t *testing.T) {
			hits := 0
			node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if hits++; r.Header.Get("Authorization") != "Bearer secret-token" {
					t.Errorf("Authorization: %q", r.Header.Get("Authorization"))
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			}))
			defer node.Close()
			_, err := dial(node.URL+"/", "secret-token").projects(context.Background())
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret-token") {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if hits != 1 {
				t.Fatalf("%d requests", hits)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		if _, err := dial("http://127.0.0.1:1", "x").projects(context.Background()); err == nil || !strings.Contains(err.Error(), "no node answers at http://127.0.0.1:1") {
			t.Fatalf("got %v", err)
		}
	})
}

func TestClientFindsTheLocalNode(t *testing.T) {
	var got string
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
		_, _ = w.Write([]byte(`{"projects":[]}`))
	}))
	defer node.Close()
	dir := t.TempDir()
	for name, content := range map[string]string{"admin-url": node.URL + "\n", "admin-token": "from-the-directory\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"by its directory", []string{"--dir", dir}, "Bearer from-the-directory"},
		{"by its address on this machine", []string{"--dir", dir, "--server", node.URL}, "Bearer from-the-directory"},
		{"a token that is given wins", []string{"--dir", dir, "--token", "given"}, "Bearer given"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, stderr, code := call(append([]string{"project", "list", "--json"}, c.args...)...)
			if code != exitDone || got != c.want || stdout != "{\"projects\":[]}\n" {
				t.Fatalf("exit %d, sent %q: %s%s", code, got, stdout, stderr)
			}
		})
	}
	t.Run("another machine never gets the directory's token", func(t *testing.T) {
		for _, server := range []string{"http://192.0.2.1:8091", "https://example.com", "http://localhost.example.com", "http://127.0.0.1@example.com"} {
			if _, stderr, code := call("project", "list", "--dir", dir, "--server", server); code != exitUsage {
				t.Fatalf("%s: exit %d: %s", server, code, stderr)
			}
		}
	})
}
