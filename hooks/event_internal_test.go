package hooks

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

func TestEventTextIsWhatTheContractSays(t *testing.T) {
	for _, test := range []struct {
		name  string
		event Event
		kind  string
		want  string
	}{
		{"an insert has no document before",
			Event{Op: OpInsert, Collection: "posts", Role: "publishable", UserID: "u1", Claims: []byte(`{"a":1}`), After: []byte(`{"x":2}`), Now: 1700000000000, RequestID: "r-1"},
			"beforeInsert",
			`{"v":1,"event":"beforeInsert","op":"insert","collection":"posts","caller":{"role":"publishable","userId":"u1","claims":{"a":1}},"before":null,"after":{"x":2},"now":1700000000000,"requestId":"r-1"}`},
		{"nobody is null, and no claims are an empty object",
			Event{Op: OpDelete, Collection: "posts", Role: "secret", Before: []byte(`{}`)},
			"policy",
			`{"v":1,"event":"policy","op":"delete","collection":"posts","caller":{"role":"secret","userId":null,"claims":{}},"before":{},"after":null,"now":0,"requestId":""}`},
		{"a read has its page",
			Event{Op: OpRead, Collection: "posts", Documents: [][]byte{[]byte(`{"a":1}`), []byte(`{}`)}},
			"policy",
			`{"v":1,"event":"policy","op":"read","collection":"posts","caller":{"role":"","userId":null,"claims":{}},"before":null,"after":null,"documents":[{"a":1},{}],"now":0,"requestId":""}`},
		{"text is escaped",
			Event{Op: OpInsert, Collection: "a\"b\\c\n", RequestID: "\xffé"},
			"policy",
			`{"v":1,"event":"policy","op":"insert","collection":"a\"b\\c\u000a","caller":{"role":"","userId":null,"claims":{}},"before":null,"after":null,"now":0,"requestId":"` + "\ufffdé" + `"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.event.append(nil, test.kind); string(got) != test.want {
				t.Errorf("event\n got %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestEventAppendAllocatesNothing(t *testing.T) {
	e := &Event{Op: OpUpdate, Collection: "posts", Role: "publishable", UserID: "u1", Before: []byte(`{"a":1}`), After: []byte(`{"a":2}`), RequestID: "r"}
	buffer := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { e.append(buffer, EventPolicy) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "a", "\"\\\x00\x1f\x7f", "é\xff\xc3", "\U0001F600", "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := appendString(nil, s)
		var back string
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatalf("%q is not JSON: %v", text, err)
		}
		if want := string(bytes.ToValidUTF8([]byte(s), []byte("\ufffd"))); utf8.ValidString(s) && back != want {
			t.Errorf("%q came back as %q", s, back)
		}
	})
}

func FuzzAnswers(f *testing.F) {
	for _, s := range []string{`{"code":"a.b","message":"m","status":404}`, `{"allow":[true,false]}`, `{}`, `[]`, ` {"a" : [ 1 , {"b":"}"} ] } `,
		`{"code":"a","code":"b"}`, `{"allow":[]}`, `"x"`, ``, `{"code":1}`, `{"allow":[true,true,true]}`, "{\"a\":\"\xff\"}", `{"allow":[[],{}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if d, err := parseReason(text); err == nil {
			if d.Allow || !validCode(d.Code) || len(d.Message) > maxMessageBytes || !utf8.ValidString(d.Message) || d.Status != 0 && (d.Status < 400 || d.Status > 499) {
				t.Errorf("parseReason(%q) = %+v", text, d)
			}
		}
		if allowed, err := parseAllowed(text, 2); err == nil && len(allowed) != 2 {
			t.Errorf("parseAllowed(%q) = %v", text, allowed)
		}
		if doc, err := parseDocument(text); err == nil {
			var object map[string]json.RawMessage
			if err := json.Unmarshal(doc, &object); err != nil || object == nil {
				t.Errorf("parseDocument(%q) = %q, which is no object: %v", text, doc, err)
			}
		}
	})
}
