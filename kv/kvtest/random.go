package kvtest

import (
	"encoding/binary"
	"fmt"

	"github.com/sluice-edge/sluice/kv"
)

// Names that random batches use: few, so that they meet.
var (
	CollectionNames = []string{"posts", "users"}
	SettingNames    = []string{"kv.maxBytes", "rules"}
	CounterNames    = []string{"likes", "visits"}
)

// Chooser picks a number in [0, n); a test decides how.
type Chooser func(n int) int

// RandomBatch makes a batch for a database that is as m describes: mostly one
// that passes, often one that must be refused. The ids of batches made with
// different numbers differ.
func RandomBatch(pick Chooser, m *Model, number int) *kv.Batch {
	b := &kv.Batch{Time: int64(number), Meta: fmt.Appendf(nil, "m%d", number)}
	b.ID[0] = 1
	binary.BigEndian.PutUint64(b.ID[8:], uint64(number))
	for range pick(3) {
		b.Needs = append(b.Needs, randomNeed(pick, m))
	}
	for range 1 + pick(4) {
		b.Ops = append(b.Ops, randomOp(pick))
	}
	return b
}

func name(pick Chooser, names []string) string { return names[pick(len(names))] }

func randomNeed(pick Chooser, m *Model) kv.Need {
	n := kv.Need{Collection: name(pick, CollectionNames), ID: ID(pick(12))}
	c := m.Collections[n.Collection]
	right := pick(6) > 0
	switch pick(4) {
	case 0:
		n.Kind = kv.NeedDoc
		if c != nil && right {
			n.Rev = c.Docs[n.ID].Rev
		}
	case 1:
		n.Kind, n.Name, n.Value = kv.NeedUnique, "a", []byte("["+value(pick)+"]")
	case 2:
		n.Kind, n.Rev = kv.NeedCollection, m.Commit
		if !right {
			n.Rev = m.Commit / 2
		}
	case 3:
		n.Kind, n.Collection, n.Name = kv.NeedSetting, "", name(pick, SettingNames)
		if right {
			n.Rev = m.Settings[n.Name].Rev
		}
	}
	return n
}

func value(pick Chooser) string {
	return []string{`1`, `1.0`, `2`, `3`, `"1"`, `"x"`, `"y"`, `null`, `true`, `[1]`, `{"z":1}`, `-5`}[pick(12)]
}

func randomOp(pick Chooser) kv.Op {
	collection, id := name(pick, CollectionNames), ID(pick(12))
	switch k := pick(20); {
	case k < 11:
		doc := fmt.Sprintf(`{"_id":"%s","a":%s,"b":%s}`, id, value(pick), value(pick))
		if pick(4) == 0 {
			doc = fmt.Sprintf(`{"_id":"%s","b":%s}`, id, value(pick))
		}
		return Put(collection, id, doc)
	case k < 14:
		return Delete(collection, id)
	case k < 16:
		return kv.Op{Kind: kv.OpAdd, Name: name(pick, CounterNames), Delta: int64(pick(5) - 2), HasFloor: pick(2) == 0}
	case k < 17:
		op := kv.Op{Kind: kv.OpSetting, Name: name(pick, SettingNames)}
		if pick(4) > 0 {
			op.Value = fmt.Appendf(nil, "%d", 200+100*pick(10))
		}
		return op
	case k < 19:
		op := Collection(collection, [][]string{{}, {"a"}, {"a", "b", "c", "d"}, {"d", "c", "b"}}[pick(4)]...)
		return Ordered(op, [][]string{{}, {"b,z"}, {"a,b", "b,z", "b.z"}, {"b.z", "a,b"}}[pick(4)]...)
	}
	if pick(2) > 0 {
		return Delete(collection, id)
	}
	return kv.Op{Kind: kv.OpDropCollection, Name: collection}
}
