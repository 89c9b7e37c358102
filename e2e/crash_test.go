package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/kv"
)

const (
	crashRounds  = 50
	crashClients = 4
)

// unit is the journal's entry of one document, kept outside of the process that is killed. Only the client that wrote the
// unit touches its entry.
type unit struct {
	name    string
	id      string // "" until an insert was acknowledged or the document was found
	acked   string // stamp of the last acknowledged write
	pending string // stamp of a write whose outcome is unknown, or ""
}

// pair is two documents that one batch inserted: after a crash there are both or neither.
type pair struct {
	a, b  string // the names of the units
	acked bool
}

// stored is a unit's document. A write that was applied by half would show: left and right hold the same stamp, and the
// padding between them is made of it.
type stored struct {
	ID      string `json:"_id"`
	Unit    string `json:"unit"`
	Left    string `json:"left"`
	Padding string `json:"padding"`
	Right   string `json:"right"`
}

func (s *stored) whole() bool {
	return s.Left != "" && s.Left == s.Right && strings.ReplaceAll(s.Padding, s.Left+";", "") == ""
}

// matches says what is wrong with a document that stands for u, "" if nothing is.
func (u *unit) matches(s *stored) string {
	switch {
	case !s.whole():
		return fmt.Sprintf("is half-applied: %+v", s)
	case s.Unit != u.name:
		return fmt.Sprintf("holds unit %s", s.Unit)
	case s.Left != u.acked && s.Left != u.pending:
		return fmt.Sprintf("holds stamp %s; acknowledged was %s, pending %q", s.Left, u.acked, u.pending)
	}
	return ""
}

func unitBody(name, stamp string, padding int) []byte {
	body, _ := json.Marshal(map[string]string{"unit": name, "left": stamp, "padding": strings.Repeat(stamp+";", padding), "right": stamp})
	return body
}

// crashClient writes units until the node stops answering.
type crashClient struct {
	url, key string
	rand     *rand.Rand
	units    []*unit // of this round
	pairs    []*pair // of this round
	refused  string  // an answer that no write should get
}

func (c *crashClient) run(round, client int) {
	for i := 0; ; i++ {
		stamp := fmt.Sprintf("%016x", c.rand.Uint64())
		if c.rand.IntN(4) == 0 {
			if !c.insertPair(fmt.Sprintf("%d-%d-%d", round, client, i), stamp) {
				return
			}
			continue
		}
		u := &unit{name: fmt.Sprintf("%d-%d-%d", round, client, i)}
		method, url := "POST", c.url+"/api/data/units"
		if len(c.units) > 0 && c.rand.IntN(3) == 0 {
			u = c.units[c.rand.IntN(len(c.units))]
			method, url = "PATCH", url+"/"+u.id
		} else {
			c.units = append(c.units, u)
		}
		u.pending = stamp
		a, err := trySend(method, url, unitBody(u.name, stamp, c.rand.IntN(120)), "x-api-key", c.key)
		if err != nil || a.status == 503 {
			return // the outcome is unknown: the entry stays pending
		}
		var s struct {
			stored
			Data *stored `json:"data"`
		}
		if a.status/100 != 2 || json.Unmarshal(a.body, &s) != nil {
			c.refused = fmt.Sprintf("%s %s: %d %s", method, u.name, a.status, a.body)
			return
		}
		if s.Data == nil {
			s.Data = &s.stored
		}
		u.id, u.acked, u.pending = s.Data.ID, stamp, ""
	}
}

// insertPair inserts two units by one batch and reports whether the node still answers.
func (c *crashClient) insertPair(name, stamp string) bool {
	p := &pair{a: name + "-a", b: name + "-b"}
	c.pairs = append(c.pairs, p)
	body := fmt.Appendf(nil, `{"operations":[{"op":"insert","collection":"units","data":%s},{"op":"insert","collection":"units","data":%s}]}`,
		unitBody(p.a, stamp, c.rand.IntN(60)), unitBody(p.b, stamp, c.rand.IntN(60)))
	a, err := trySend("POST", c.url+"/api/batch", body, "x-api-key", c.key)
	if err != nil || a.status == 503 {
		return false
	}
	if p.acked = a.status/100 == 2; !p.acked {
		c.refused = fmt.Sprintf("batch %s: %d %s", name, a.status, a.body)
	}
	return p.acked
}

// whole says what is wrong with what is left of a pair, "" if nothing is.
func (p *pair) whole(a, b *stored) string {
	switch {
	case a == nil && b == nil:
		if p.acked {
			return "is lost, though it was acknowledged"
		}
	case a == nil || b == nil:
		return "is half-applied: one document of the batch is there"
	case !a.whole() || !b.whole() || a.Left != b.Left:
		return fmt.Sprintf("is not whole: %+v, %+v", a, b)
	}
	return ""
}

// settlePair looks at a pair after the restart.
func (c *crashClient) settlePair(p *pair) error {
	a, err := trySend("GET", c.url+"/api/data/units?unit_in="+p.a+","+p.b+"&sort=unit", nil, "x-api-key", c.key)
	if err != nil {
		return err
	}
	var list struct{ Data struct{ Items []*stored } }
	if err := json.Unmarshal(a.body, &list); err != nil || a.status != 200 {
		return fmt.Errorf("pair %s: %d %s", p.a, a.status, a.body)
	}
	var found [2]*stored
	for _, s := range list.Data.Items {
		if s.Unit == p.a {
			found[0] = s
		} else {
			found[1] = s
		}
	}
	if wrong := p.whole(found[0], found[1]); wrong != "" {
		return fmt.Errorf("pair %s %s", p.a, wrong)
	}
	p.acked = p.acked || found[0] != nil
	return nil
}

// settle finds out what became of a unit after the restart and brings the journal up to date.
func (c *crashClient) settle(u *unit) error {
	if u.id == "" {
		// The insert was never acknowledged. Sending it again must either work or meet the first one, whole.
		retry := fmt.Sprintf("%016x", c.rand.Uint64())
		a, err := trySend("POST", c.url+"/api/data/units", unitBody(u.name, retry, 1), "x-api-key", c.key)
		if err != nil {
			return err
		}
		var s stored
		switch a.status {
		case 201:
			u.pending = retry
			if err := json.Unmarshal(a.body, &s); err != nil {
				return err
			}
		case 409:
			if a, err = trySend("GET", c.url+"/api/data/units?unit="+u.name, nil, "x-api-key", c.key); err != nil {
				return err
			}
			var list struct{ Data struct{ Items []stored } }
			if err := json.Unmarshal(a.body, &list); err != nil || len(list.Data.Items) != 1 {
				return fmt.Errorf("unit %s is taken, and %d documents hold it: %s", u.name, len(list.Data.Items), a.body)
			}
			s = list.Data.Items[0]
		default:
			return fmt.Errorf("unit %s again: %d %s", u.name, a.status, a.body)
		}
		u.id = s.ID
		u.acked = u.pending
	}
	a, err := trySend("GET", c.url+"/api/data/units/"+u.id, nil, "x-api-key", c.key)
	if err != nil {
		return err
	}
	var s stored
	if err := json.Unmarshal(a.body, &s); a.status != 200 || err != nil {
		return fmt.Errorf("unit %s (acknowledged %s) is lost: %d %s", u.name, u.acked, a.status, a.body)
	}
	if wrong := u.matches(&s); wrong != "" {
		return fmt.Errorf("unit %s %s", u.name, wrong)
	}
	u.acked, u.pending = s.Left, ""
	return nil
}

// TestKillUnderLoad kills the real binary with SIGKILL, again and again while clients write, and asks after each restart
// for everything that it ever acknowledged.
func TestKillUnderLoad(t *testing.T) {
	dir := t.TempDir()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))

	n := startNode(t, "--dir", dir)
	k := applyFile(t, n, "testdata/units.yaml")
	var (
		journal []*unit
		pairs   []*pair
	)
	writes := 0
	for round := range crashRounds {
		clients := make([]*crashClient, crashClients)
		var running sync.WaitGroup
		for i := range clients {
			clients[i] = &crashClient{url: n.URL, key: k.SecretKey, rand: rand.New(rand.NewPCG(seed, uint64(2+round*crashClients+i)))}
			running.Go(func() { clients[i].run(round, i) })
		}
		time.Sleep(time.Duration(5+random.IntN(120)) * time.Millisecond)
		_ = n.kill()
		running.Wait()
		if round%10 == 9 {
			allUnits, allPairs := slices.Clone(journal), slices.Clone(pairs)
			for _, c := range clients {
				allUnits, allPairs = append(allUnits, c.units...), append(allPairs, c.pairs...)
			}
			checkOffline(t, dir, k.ID, allUnits, allPairs)
		}
		n = startNode(t, "--dir", dir)
		for _, c := range clients {
			if c.refused != "" {
				t.Fatalf("round %d: %s", round, c.refused)
			}
			c.url = n.URL
			for _, u := range c.units {
				writes++
				if err := c.settle(u); err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
			}
			for _, p := range c.pairs {
				writes += 2
				if err := c.settlePair(p); err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
			}
			journal, pairs = append(journal, c.units...), append(pairs, c.pairs...)
		}
		for range 20 { // and what earlier rounds left
			if u := journal[random.IntN(len(journal))]; clients[0].settle(u) != nil {
				t.Fatalf("round %d: %v", round, clients[0].settle(u))
			}
		}
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	checkOffline(t, dir, k.ID, journal, pairs)
	t.Logf("%d kills, %d units written, %d of them in pairs", crashRounds, writes, 2*len(pairs))
	if writes < crashRounds {
		t.Errorf("only %d units in %d rounds: this was no load", writes, crashRounds)
	}
}

// checkOffline opens the project's file as it lies on disk, has the store check itself, and compares every document
// with the journal, both ways.
func checkOffline(t *testing.T, dir, projectID string, journal []*unit, pairs []*pair) {
	t.Helper()
	ctx := context.Background()
	db, err := kv.Open(filepath.Join(dir, "projects", projectID), kv.Options{ReadOnly: true})
	if err != nil {
		t.Fatalf("open the file after a kill: %v", err)
	}
	defer func() { _ = db.Close() }()
	report, err := db.Check(ctx)
	if err != nil || !report.OK() {
		t.Fatalf("check: %v, %v", report, err)
	}
	snap, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	c, ok := snap.Collection("units")
	if !ok {
		t.Fatal("the collection is gone")
	}
	page, err := snap.Find(ctx, c, &kv.Query{Limit: 1 << 24, Budget: 1 << 24})
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]*stored, len(page.Docs))
	for _, doc := range page.Docs {
		s := &stored{}
		if err := json.Unmarshal(doc.JSON, s); err != nil {
			t.Fatalf("document %s: %v", doc.ID, err)
		}
		if byName[s.Unit] != nil {
			t.Errorf("unit %s is stored twice", s.Unit)
		}
		byName[s.Unit] = s
	}
	for _, u := range journal {
		s := byName[u.name]
		delete(byName, u.name)
		switch {
		case s == nil && u.acked != "":
			t.Errorf("unit %s (acknowledged %s) is lost", u.name, u.acked)
		case s != nil:
			if wrong := u.matches(s); wrong != "" {
				t.Errorf("unit %s %s", u.name, wrong)
			}
		}
	}
	for _, p := range pairs {
		if wrong := p.whole(byName[p.a], byName[p.b]); wrong != "" {
			t.Errorf("pair %s %s", p.a, wrong)
		}
		delete(byName, p.a)
		delete(byName, p.b)
	}
	for name := range byName {
		t.Errorf("unit %s is stored, and nobody wrote it", name)
	}
}
