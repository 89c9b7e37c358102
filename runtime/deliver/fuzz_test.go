package deliver

import (
	"bytes"
	"encoding/json"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// FuzzCompose: whatever stands in a mail, what goes over the wire has the headers that we write and no others, and one recipient.
func FuzzCompose(f *testing.F) {
	f.Add("Blog <no-reply@blog.example>", "team@blog.example", "ann@example.com", "Hello", "text", "<p>html</p>")
	f.Add("a@b.example\r\nBcc: c@d.example", "", "a@b.example\nBcc: c@d.example", "s\r\nBcc: c@d.example", ".\r\n.\r\n", "")
	f.Add(`"x\r\nBcc: y" <a@b.example>`, "a@b.example, c@d.example", "a@b.example,c@d.example", "=?utf-8?q?a=0D=0ABcc:_c?=", "", "\r\n--")
	f.Add("ü <a@b.example>", "", "ü@b.example", strings.Repeat("ü", 300), "\x00", "\xff")
	known := map[string]bool{"Date": true, "From": true, "To": true, "Reply-To": true, "Subject": true, "Message-Id": true, "Mime-Version": true,
		"Content-Type": true, "Content-Transfer-Encoding": true, "Auto-Submitted": true}
	f.Fuzz(func(t *testing.T, from, reply, to, subject, text, html string) {
		msg, err := compose(&Parcel{ID: "1", MessageID: "1@b.example", Created: time.Unix(1e9, 0), Message: &Message{From: from, ReplyTo: reply, To: to, Subject: subject, Text: text, HTML: html}})
		if err != nil {
			return
		}
		var wire bytes.Buffer
		if _, err := msg.WriteTo(&wire); err != nil {
			return
		}
		read, err := mail.ReadMessage(&wire)
		if err != nil {
			t.Fatalf("what was composed cannot be read: %v", err)
		}
		for name, values := range read.Header {
			if !known[name] || len(values) != 1 {
				t.Errorf("header %s: %q", name, values)
			}
		}
		if list, err := msg.GetRecipients(); err != nil || len(list) != 1 {
			t.Errorf("recipients %q, %v", list, err)
		}
	})
}

// FuzzDecode: no document brings the reader of outboxes down, and what it has read it writes as a canonical document that reads the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"_id":"010000000000000000000000","state":"due","next":1,"holder":"a","tries":2,"kind":"verify","messageId":"m","until":3,"created":4,"expires":5,"error":"é\n","sealed":"AAEC"}`))
	f.Add([]byte(`{"next":-9223372036854775808,"sealed":"%"}`))
	f.Add([]byte(`{"state":7}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		e, err := decode(kv.Document{ID: kv.DocID{1}, Rev: 1, JSON: doc})
		if err != nil {
			return
		}
		b := new(kv.Batch)
		e.put(b, "_outbox")
		written := b.Ops[0].Value
		v, err := new(jsondoc.Parser).Parse(written, jsondoc.Limits{})
		if err != nil {
			if json.Valid(written) && strings.ContainsRune(string(doc), '\\') { // a NUL, which no document may hold
				return
			}
			t.Fatalf("%q: %v", written, err)
		}
		if canonical := v.Append(nil); !bytes.Equal(canonical, written) {
			t.Errorf("%q is not canonical: %q", written, canonical)
		}
		again, err := decode(kv.Document{ID: kv.DocID{1}, Rev: 1, JSON: written})
		if err != nil || again.State != e.State || again.Error != e.Error || again.Tries != e.Tries || !again.Next.Equal(e.Next) || !bytes.Equal(again.Sealed, e.Sealed) {
			t.Errorf("%+v, %v; was %+v", again, err, e)
		}
	})
}
