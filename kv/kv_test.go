package kv_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

func view(t testing.TB, db *kv.DB) *kv.Snapshot {
	t.Helper()
	s, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func get(t testing.TB, db *kv.DB, collection string, id kv.DocID) string {
	t.Helper()
	s, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, ok := s.Collection(collection)
	if !ok {
		return "no collection"
	}
	d, err := s.Get(c, id)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s", d.Rev, d.JSON)
}

func TestDocuments(t *testing.T) {
	dir := t.TempDir()
	db := kvtest.OpenAt(t, dir, kv.Options{})
	id := db.NewID(time.Now())
	kvtest.Commit(t, db, kvtest.Collection("posts"))

	t.Run("a document is read as it was put", func(t *testing.T) {
		kvtest.Commit(t, db, kvtest.Put("posts", id, `{"n":9007199254740993}`))
		if got, want := get(t, db, "posts", id), `2 {"n":9007199254740993}`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
	t.Run("a snapshot keeps its state", func(t *testing.T) {
		s := view(t, db)
		c, _ := s.Collection("posts")
		before, err := s.Get(c, id)
		if err != nil {
			t.Fatal(err)
		}
		kvtest.Commit(t, db, kvtest.Put("posts", id, `{"n":2}`))
		after, err := s.Get(c, id)
		if err != nil || string(after.JSON) != string(before.JSON) || s.Commit() != 2 {
			t.Errorf("got %s at %d, %v", after.JSON, s.Commit(), err)
		}
	})
	t.Run("a deleted document is gone", func(t *testing.T) {
		kvtest.Commit(t, db, kvtest.Delete("posts", id))
		if got := get(t, db, "posts", id); got != "no such document" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("everything is there after a reopen", func(t *testing.T) {
		kvtest.Commit(t, db, kvtest.Put("posts", id, `{"n":3}`))
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = kvtest.OpenAt(t, dir, kv.Options{})
		if got, want := get(t, db, "posts", id), `5 {"n":3}`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestRefusals(t *testing.T) {
	db := kvtest.Open(t)
	a, b, c := kvtest.ID(1), kvtest.ID(2), kvtest.ID(3)
	kvtest.Commit(t, db, kvtest.Collection("users", "email"))
	kvtest.Commit(t, db, kvtest.Put("users", a, `{"email":"a"}`), kvtest.Put("users", b, `{"email":"b"}`))
	kvtest.Commit(t, db, kv.Op{Kind: kv.OpSetting, Name: "kv.maxBytes", Value: []byte("200")},
		kv.Op{Kind: kv.OpSetting, Name: "schema", Value: []byte("1")})

	is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
	conflict := func(err error) bool { var e *kv.ConflictError; return errors.As(err, &e) }
	unique := func(err error) bool { var e *kv.UniqueError; return errors.As(err, &e) }
	need := func(n kv.Need) []kv.Need { return []kv.Need{n} }
	put := kvtest.Put
	for _, tt := range []struct {
		name  string
		needs []kv.Need
		ops   []kv.Op
		want  func(error) bool
	}{
		{"a stale revision", need(kv.Need{Kind: kv.NeedDoc, Collection: "users", ID: a, Rev: 1}), nil, conflict},
		{"absence of a document that is there", need(kv.Need{Kind: kv.NeedDoc, Collection: "users", ID: a}), nil, conflict},
		{"presence of a document that is not", need(kv.Need{Kind: kv.NeedDoc, Collection: "users", ID: c, Rev: 2}), nil, conflict},
		{"presence in a collection that is not", need(kv.Need{Kind: kv.NeedDoc, Collection: "none", ID: c, Rev: 2}), nil, conflict},
		{"a taken key", need(kv.Need{Kind: kv.NeedUnique, Collection: "users", Name: "email", ID: c, Value: []byte(`["a"]`)}), nil, conflict},
		{"a changed collection", need(kv.Need{Kind: kv.NeedCollection, Collection: "users", Rev: 1}), nil, conflict},
		{"a changed setting", need(kv.Need{Kind: kv.NeedSetting, Name: "schema", Rev: 1}), nil, conflict},
		{"absence of a setting that is there", need(kv.Need{Kind: kv.NeedSetting, Name: "schema"}), nil, conflict},
		{"a duplicate of a stored key", nil, []kv.Op{put("users", c, `{"email":"a"}`)}, unique},
		{"a duplicate within the batch", nil, []kv.Op{put("users", c, `{"email":"c"}`), put("users", kvtest.ID(4), `{"email":"c"}`)}, unique},
		{"a key that its holder keeps", nil, []kv.Op{put("users", c, `{"email":"a"}`), put("users", a, `{"email":"a","n":1}`)}, unique},
		{"bytes beyond the quota", nil, []kv.Op{put("users", c, fmt.Sprintf(`{"email":%0200d}`, 1))}, func(err error) bool {
			var e *kv.QuotaError
			return errors.As(err, &e) && e.Limit == 200
		}},
		{"a counter below its floor", nil, []kv.Op{{Kind: kv.OpAdd, Name: "n", Delta: -1, HasFloor: true}}, func(err error) bool {
			var e *kv.FloorError
			return errors.As(err, &e) && e.Value == 0 && e.Delta == -1
		}},
		{"an unknown collection", nil, []kv.Op{put("none", c, `{}`)}, is(kv.ErrNoCollection)},
		{"the same document twice", nil, []kv.Op{put("users", c, `{}`), kvtest.Delete("users", c)}, is(kv.ErrBatch)},
		{"a document that is no object", nil, []kv.Op{put("users", c, `[]`)}, is(kv.ErrBatch)},
		{"documents of a collection it drops", nil, []kv.Op{put("users", c, `{}`), {Kind: kv.OpDropCollection, Name: "users"}}, is(kv.ErrBatch)},
		{"documents of a collection it redefines", nil, []kv.Op{kvtest.Collection("users", "name"), put("users", c, `{}`)}, is(kv.ErrBatch)},
		{"a quota that is no number", nil, []kv.Op{{Kind: kv.OpSetting, Name: "kv.maxBytes", Value: []byte("many")}}, is(kv.ErrBatch)},
		{"a definition that is none", nil, []kv.Op{{Kind: kv.OpCollection, Name: "x", Value: []byte(`{"indexes":[{}]}`)}}, is(kv.ErrBatch)},
	} {
		t.Run(tt.name+" is refused", func(t *testing.T) {
			before := view(t, db).Commit()
			batch := kvtest.Batch(tt.ops...)
			batch.Needs = tt.needs
			_, err := db.Commit(context.Background(), batch)
			if !tt.want(err) {
				t.Errorf("got %v", err)
			}
			if after := view(t, db).Commit(); after != before {
				t.Errorf("commit went from %d to %d", before, after)
			}
			_, again := db.Commit(context.Background(), batch)
			if fmt.Sprint(again) != fmt.Sprint(err) {
				t.Errorf("delivered again: got %v, first %v", again, err)
			}
		})
	}
}

func TestUnique(t *testing.T) {
	db := kvtest.Open(t)
	a, b := kvtest.ID(1), kvtest.ID(2)
	kvtest.Commit(t, db, kvtest.Collection("users", "email"), kvtest.Put("users", a, `{"email":"a"}`))
	kvtest.Commit(t, db, kvtest.Put("users", b, `{"email":"b"}`))
	by := func(t *testing.T, email string) string {
		s := view(t, db)
		c, _ := s.Collection("users")
		d, err := s.GetUnique(c, "email", kv.String(email))
		if err != nil {
			return err.Error()
		}
		return d.ID.String()
	}
	t.Run("two documents swap their keys in one batch", func(t *testing.T) {
		kvtest.Commit(t, db, kvtest.Put("users", a, `{"email":"b"}`), kvtest.Put("users", b, `{"email":"a"}`))
		if by(t, "a") != b.String() || by(t, "b") != a.String() {
			t.Errorf("a is %s, b is %s", by(t, "a"), by(t, "b"))
		}
	})
	t.Run("the key of a deleted document is free in the same batch", func(t *testing.T) {
		kvtest.Commit(t, db, kvtest.Put("users", kvtest.ID(3), `{"email":"a"}`), kvtest.Delete("users", b))
		if by(t, "a") != kvtest.ID(3).String() {
			t.Errorf("a is %s", by(t, "a"))
		}
	})
	t.Run("missing and null are not in the index", func(t *testing.T) {
		kvtest.Commit(t, db, kvtest.Put("users", kvtest.ID(10), `{}`), kvtest.Put("users", kvtest.ID(11), `{"email":null}`), kvtest.Put("users", kvtest.ID(12), `{"email":null}`))
	})
	t.Run("an index on existing documents finds them", func(t *testing.T) {
		kvtest.Commit(t, db, kvtest.Put("users", kvtest.ID(20), `{"email":"x","name":"n"}`))
		kvtest.Commit(t, db, kvtest.Collection("users", "name", "email"))
		s := view(t, db)
		c, _ := s.Collection("users")
		d, err := s.GetUnique(c, "name", kv.String("n"))
		if err != nil || d.ID != kvtest.ID(20) {
			t.Errorf("got %v, %v", d.ID, err)
		}
	})
	t.Run("an index that documents break is refused and names them", func(t *testing.T) {
		kvtest.Commit(t, db, kvtest.Put("users", kvtest.ID(21), `{"n":1}`), kvtest.Put("users", kvtest.ID(22), `{"n":1.0}`))
		_, err := db.Commit(context.Background(), kvtest.Batch(kvtest.Collection("users", "n")))
		var e *kv.UniqueError
		if !errors.As(err, &e) || e.ID != kvtest.ID(21) || e.Other != kvtest.ID(22) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a dropped index lets go of its keys", func(t *testing.T) {
		kvtest.Commit(t, db, kvtest.Collection("users"))
		kvtest.Commit(t, db, kvtest.Put("users", kvtest.ID(30), `{"email":"x"}`))
	})
}

func TestConcurrentUse(t *testing.T) {
	db := kvtest.Open(t)
	kvtest.Commit(t, db, kvtest.Collection("n", "k"))
	const writers, each = 8, 60
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			var last uint64
			for {
				select {
				case <-stop:
					return
				default:
				}
				s, err := db.Snapshot()
				if err != nil {
					t.Error(err)
					return
				}
				if s.Commit() < last {
					t.Errorf("commit went back from %d to %d", last, s.Commit())
				}
				last = s.Commit()
				c, _ := s.Collection("n")
				page, err := s.Find(context.Background(), c, &kv.Query{Limit: 1000, Total: true})
				if err != nil {
					t.Error(err)
				} else if st, _ := s.State(c); int64(len(page.Docs)) != st.Documents || page.Total != st.Documents || s.Counter("n") != st.Documents {
					t.Errorf("found %d, total %d, state %d, counter %d", len(page.Docs), page.Total, st.Documents, s.Counter("n"))
				}
				s.Close()
			}
		})
	}
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				id := db.NewID(time.Now())
				b := kvtest.Batch(kvtest.Put("n", id, fmt.Sprintf(`{"k":%d}`, w*each+i)), kv.Op{Kind: kv.OpAdd, Name: "n", Delta: 1})
				if _, err := db.Commit(context.Background(), b); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	wg.Wait()
	if n := view(t, db).Counter("n"); n != writers*each {
		t.Errorf("%d of %d writes", n, writers*each)
	}
}
