package project

import "testing"

// benchFields and benchBody: six declared fields, about 500 bytes.
const benchFields = `[
	{"key":"title","type":"String","required":true},
	{"key":"price","type":"Number"},
	{"key":"published","type":"Boolean","default":false},
	{"key":"due","type":"Date"},
	{"key":"tags","type":"Array","items":{"type":"String"}},
	{"key":"meta","type":"Object","fields":[{"key":"likes","type":"Number"},{"key":"note","type":"String"}]}]`

const benchBody = `{"title":"How sluices work","price":12.5,"published":true,"due":"2026-11-23T14:25:03+01:00","tags":["water","engineering","gates"],` +
	`"meta":{"likes":90071992547409931,"note":"seen by Ada Lovelace"},"body":"A sluice is a water channel controlled at its head by a gate. A mill race, ` +
	`leet, flume, penstock or lade is a sluice channelling water toward a mill. The terms sluice, sluice gate, knife gate, and slide gate are used.",` +
	`"userId":"65f0c0ffee65f0c0ffee0002"}`

func BenchmarkConform(b *testing.B) {
	c := collection(b, benchFields)
	v := value(b, benchBody)
	dst := make([]byte, 0, 4096)
	st := ownerStamp("me")
	b.SetBytes(int64(len(benchBody)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Conform(dst, v, nil, st); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkConformUpdate(b *testing.B) {
	c := collection(b, benchFields)
	before, err := c.Conform(nil, value(b, benchBody), nil, testStamp())
	if err != nil {
		b.Fatal(err)
	}
	v := value(b, string(before))
	dst := make([]byte, 0, 4096)
	b.SetBytes(int64(len(before)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Conform(dst, v, before, Stamp{ID: testID, Updated: testNow}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMerge(b *testing.B) {
	c := collection(b, benchFields)
	before, err := c.Conform(nil, value(b, benchBody), nil, testStamp())
	if err != nil {
		b.Fatal(err)
	}
	patch := value(b, `{"price":13,"meta.likes":5}`)
	dst := make([]byte, 0, 4096)
	b.SetBytes(int64(len(before)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Merge(dst, before, patch, testStamp()); err != nil {
			b.Fatal(err)
		}
	}
}
