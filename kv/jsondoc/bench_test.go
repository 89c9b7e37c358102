package jsondoc_test

import (
	"testing"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// benchDoc is a blog post of about 500 bytes, as a client would send it and as it is stored.
const benchDoc = `{"_id":"65f0c0ffee65f0c0ffee0001","title":"How sluices work","slug":"how-sluices-work","price":12.5,"views":90071992547409931,` +
	`"published":true,"tags":["water","engineering","gates"],"author":{"name":"Ada Lovelace","email":"ada@example.com"},"body":"A sluice is a water ` +
	`channel controlled at its head by a gate. A mill race, leet, flume, penstock or lade is a sluice channelling water toward a mill.",` +
	`"userId":"65f0c0ffee65f0c0ffee0002","createdAt":"2026-11-23T14:25:03.123Z","updatedAt":"2026-11-23T14:25:03.123Z"}`

func BenchmarkParse(b *testing.B) {
	src := []byte(benchDoc)
	var p jsondoc.Parser
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Parse(src, jsondoc.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseAppend(b *testing.B) {
	src := []byte("{ " + benchDoc[1:]) // one space: no canonical fast path for the whole
	dst := make([]byte, 0, 1024)
	var p jsondoc.Parser
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		v, err := p.Parse(src, jsondoc.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		dst = v.Append(dst[:0])
	}
}

func BenchmarkLookupLast(b *testing.B) {
	doc := []byte(benchDoc)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := jsondoc.Lookup(doc, "updatedAt"); !ok {
			b.Fatal("not found")
		}
	}
}

func BenchmarkParseWide(b *testing.B) {
	src := []byte(wide(1000, "member"))
	var p jsondoc.Parser
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Parse(src, jsondoc.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
