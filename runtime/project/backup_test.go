package project

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/blobs/disk"
	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/hooks/hooktest"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/archive"
	"github.com/sluice-edge/sluice/runtime/auth"
)

// node opens the registry of a data directory, with files on its disk.
func node(t *testing.T, dir string) *Registry {
	t.Helper()
	ctx := context.Background()
	host, err := hooks.NewHost(ctx, hooks.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	r, err := OpenRegistry(ctx, dir, host, Options{Logger: slog.New(slog.DiscardHandler), KV: kv.Options{MapSize: 64 << 20},
		Blobs: func(id string) (blobs.Backend, error) {
			return disk.Open(filepath.Join(dir, "projects", id, "blobs"), disk.Options{})
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sync.OnceFunc(func() {
		if err := errors.Join(r.Close(ctx), host.Close(ctx)); err != nil && !errors.Is(err, kv.ErrClosed) {
			t.Error(err)
		}
	}))
	return r
}

// posts makes a project with one collection.
func posts(t *testing.T, r *Registry, name string) (*Project, *Applied) {
	t.Helper()
	a, err := r.Apply(context.Background(), &Config{Name: name, Collections: []Collection{{Name: "posts", Fields: []Field{{Key: "n", Type: TypeNumber}}}}}, ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return p, a
}

func insert(t *testing.T, r *Registry, p *Project, n int) uint64 {
	b, err := r.newBatch()
	if err != nil {
		t.Error(err)
		return 0
	}
	id := p.DB.NewID(time.Now())
	b.Ops = []kv.Op{{Kind: kv.OpPut, Collection: "posts", ID: id, Value: fmt.Appendf(nil, `{"_id":"%s","n":%d}`, id, n)}}
	commit, err := p.DB.Commit(context.Background(), b)
	if err != nil {
		t.Error(err)
	}
	return commit
}

func count(t *testing.T, p *Project) int64 {
	t.Helper()
	snap, err := p.DB.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	c, _ := snap.Collection("posts")
	st, err := snap.State(c)
	if err != nil {
		t.Fatal(err)
	}
	return st.Documents
}

// The backup of a node that is written to with full force has, of each project, what was acknowledged up to one commit and
// nothing after it; its keys, bundle and files work where it is restored.
func TestBackupOfABusyNode(t *testing.T) {
	ctx := context.Background()
	r := node(t, t.TempDir())
	first, applied := posts(t, r, "first")
	second, _ := posts(t, r, "second")
	if _, err := r.Deploy(ctx, first, hooks.Manifest{Modules: []hooks.Module{{Name: "m", File: "m.wasm"}},
		Bindings: []hooks.Binding{{Module: "m", Event: hooks.EventPolicy, Collections: []string{"posts"}}}},
		map[string][]byte{"m.wasm": hooktest.Guest{Policy: hooktest.I64Const(1)}.Wasm()}); err != nil {
		t.Fatal(err)
	}
	lease, err := first.Blobs.Put(ctx, strings.NewReader("the bytes of a file"), blobs.NoLimit)
	if err != nil {
		t.Fatal(err)
	}
	lease.Release()

	var stop atomic.Bool
	var writers sync.WaitGroup
	acknowledged := map[*Project]*atomic.Uint64{first: {}, second: {}}
	for p, last := range acknowledged {
		for range 4 {
			writers.Go(func() {
				for n := 0; !stop.Load() && !t.Failed(); n++ {
					commit := insert(t, r, p, n)
					for was := last.Load(); was < commit && !last.CompareAndSwap(was, commit); was = last.Load() {
					}
				}
			})
		}
	}
	for acknowledged[first].Load() < 50 || acknowledged[second].Load() < 50 {
		if t.Failed() {
			t.FailNow()
		}
		time.Sleep(time.Millisecond)
	}
	before := map[string]uint64{"first": acknowledged[first].Load(), "second": acknowledged[second].Load()}
	var out bytes.Buffer
	if err := r.Backup(ctx, nil, &out, map[string][]byte{"node-secret": []byte("x")}); err != nil {
		t.Fatal(err)
	}
	stop.Store(true)
	writers.Wait()

	dir := t.TempDir()
	var progressed int64
	got, err := Restore(ctx, bytes.NewReader(out.Bytes()), RestoreOptions{Dir: dir, Progress: func(done, total int64) {
		if done < progressed || done > total {
			t.Errorf("progress went from %d to %d of %d", progressed, done, total)
		}
		progressed = done
	}})
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Extra["node-secret"]) != "x" || len(got.Projects) != 2 || got.Projects[0].Files != 1 {
		t.Errorf("restored %+v", got)
	}
	restored := node(t, dir)
	for _, p := range got.Projects {
		if p.Commit < before[p.Name] {
			t.Errorf("%s ends at commit %d, and %d was acknowledged before", p.Name, p.Commit, before[p.Name])
		}
		// One commit for the schema, one more for the bundle; each of the others inserted one document.
		live, _ := restored.Find(p.Name)
		original, _ := r.Find(p.Name)
		if more := int64(p.Commit) - count(t, live); more < 1 || count(t, original) < count(t, live) {
			t.Errorf("%s holds %d documents at commit %d", p.Name, count(t, live), p.Commit)
		}
		if original.DB.FileID() != live.DB.FileID() {
			t.Errorf("%s is another database", p.Name)
		}
		insert(t, restored, live, -1)
	}
	p, role, ok := restored.ByKey([]byte(applied.SecretKey.Reveal()))
	if !ok || p.Name() != "first" || role != auth.RoleSecret {
		t.Error("the key of the first project does not open it")
	}
	if st := p.State(); st.Bundle == nil || st.BundleVersion != 1 {
		t.Errorf("the bundle is not there: %v", st.BundleErr)
	}
	content, err := p.Blobs.Open(ctx, lease.Hash)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	if text, _ := io.ReadAll(content); string(text) != "the bytes of a file" {
		t.Errorf("the file holds %q", text)
	}
}

// One project comes back into a node where it was lost, or in the place of what became of it, and into another node with its
// keys; the neighbours stay as they are.
func TestRestoreOneProject(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	r := node(t, dir)
	p, applied := posts(t, r, "blog")
	posts(t, r, "other")
	insert(t, r, p, 1)
	var one, all bytes.Buffer
	if err := errors.Join(r.Backup(ctx, p, &one, nil), r.Backup(ctx, nil, &all, nil)); err != nil {
		t.Fatal(err)
	}
	insert(t, r, p, 2)
	id := p.ID
	if err := r.Close(ctx); err != nil {
		t.Fatal(err)
	}

	var refused *RestoreError
	if _, err := Restore(ctx, bytes.NewReader(one.Bytes()), RestoreOptions{Dir: dir}); !errors.As(err, &refused) || !strings.Contains(err.Error(), "--replace") {
		t.Errorf("over what is there: %v", err)
	}
	if _, err := Restore(ctx, bytes.NewReader(all.Bytes()), RestoreOptions{Dir: dir}); !errors.As(err, &refused) || !strings.Contains(err.Error(), "--replace") {
		t.Errorf("a node over what is there: %v", err)
	}
	if _, err := Restore(ctx, bytes.NewReader(all.Bytes()), RestoreOptions{Dir: dir, Project: "bog", Replace: true}); !errors.As(err, &refused) || !strings.Contains(err.Error(), "it has: blog, other") {
		t.Errorf("a project that it does not have: %v", err)
	}
	for name, archive := range map[string]*bytes.Buffer{"its own backup": &one, "that of the node": &all} {
		got, err := Restore(ctx, bytes.NewReader(archive.Bytes()), RestoreOptions{Dir: dir, Project: "blog", Replace: true,
			Now: func() time.Time { return time.Now().Add(time.Duration(len(name)) * time.Second) }})
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := os.Stat(filepath.Join(got.Kept, "data.db")); err != nil {
			t.Errorf("%s: what was there before is not kept: %v", name, err)
		}
	}
	back := node(t, dir)
	p, _, ok := back.ByKey([]byte(applied.SecretKey.Reveal()))
	if !ok || p.ID != id || count(t, p) != 1 || len(back.List()) != 2 {
		t.Errorf("found %v with %d documents among %d", ok, count(t, p), len(back.List()))
	}

	elsewhere := t.TempDir()
	there := node(t, elsewhere)
	posts(t, there, "blog")
	if err := there.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(ctx, bytes.NewReader(one.Bytes()), RestoreOptions{Dir: elsewhere}); !errors.As(err, &refused) || !strings.Contains(err.Error(), "another project") {
		t.Errorf("beside one of the same name: %v", err)
	}
	empty := t.TempDir()
	if _, err := Restore(ctx, bytes.NewReader(one.Bytes()), RestoreOptions{Dir: empty}); err != nil {
		t.Fatal(err)
	}
	fresh := node(t, empty)
	if p, _, ok := fresh.ByKey([]byte(applied.PublishableKey.Reveal())); !ok || count(t, p) != 1 {
		t.Error("the project is not there with its keys")
	}
}

// Whatever is wrong with a backup, the node stays as it is.
func TestRestoreOfADamagedBackupChangesNothing(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	r := node(t, dir)
	p, _ := posts(t, r, "blog")
	insert(t, r, p, 1)
	var out bytes.Buffer
	if err := r.Backup(ctx, nil, &out, nil); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(ctx); err != nil {
		t.Fatal(err)
	}
	whole := out.Bytes()
	forged := func(change func(name string, text []byte) []byte) []byte {
		var out bytes.Buffer
		w, err := archive.NewWriter(&out, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := archive.Read(bytes.NewReader(whole), func(name string, _ int64, r io.Reader) error {
			text, err := io.ReadAll(r)
			if err != nil {
				return err
			}
			text = change(name, text)
			return w.Add(name, int64(len(text)), func(w io.Writer) error { _, err := w.Write(text); return err })
		}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	in := func(file string, change func([]byte) []byte) []byte {
		return forged(func(name string, text []byte) []byte {
			if strings.HasSuffix(name, p.ID+"/"+file) || name == file {
				return change(text)
			}
			return text
		})
	}
	for name, src := range map[string][]byte{
		"cut short":           whole[:len(whole)/2],
		"no archive":          []byte("hello"),
		"empty":               nil,
		"database cut short":  in("data.db", func(b []byte) []byte { return b[:len(b)/2] }),
		"a value that rotted": in("data.db", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`"n":1}`), []byte(`"n":7}`)) }),
		"database of zeros":   in("data.db", func(b []byte) []byte { return make([]byte, len(b)) }),
		"another commit":      in("project.json", func(b []byte) []byte { return bytes.Replace(b, []byte(`"commit":`), []byte(`"commit":1`), 1) }),
		"later format":        in(backupHead, func(b []byte) []byte { return bytes.Replace(b, []byte(`"format":1`), []byte(`"format":2`), 1) }),
		"foreign identity":    in("identity", func(b []byte) []byte { return bytes.Repeat([]byte("1"), len(b)) }),
	} {
		if _, err := Restore(ctx, bytes.NewReader(src), RestoreOptions{Dir: dir, Replace: true}); err == nil {
			t.Errorf("%s: restored", name)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	if p, err := node(t, dir).Find("blog"); err != nil || count(t, p) != 1 {
		t.Error("the project is not as it was")
	}
	if _, err := Restore(ctx, bytes.NewReader(whole), RestoreOptions{Dir: t.TempDir(), Verify: true}); err != nil {
		t.Errorf("the whole one: %v", err)
	}
}
