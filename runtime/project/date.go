package project

import "time"

// date is a point in time as documents hold it: UTC, milliseconds.
type date struct {
	year, month, day, hour, minute, second, millis int
}

// parseDate reads a date (2026-11-23), a date and time with or without a zone (2026-11-23T14:25, seconds and fraction
// optional, a space for the T; without a zone it is UTC) or the form of RFC 1123 (Mon, 23 Nov 2026 14:25:03 GMT). Digits
// beyond milliseconds are cut off. ok is false for everything else and for a day that no calendar has.
func parseDate(text []byte) (d date, ok bool) {
	text = trimSpace(text)
	if len(text) < len("2026-11-23") {
		return d, false
	}
	if c := text[0]; c < '0' || c > '9' {
		return parseRFC1123(text)
	}
	p := dateScanner{text: text, ok: true}
	d.year = p.digits(4)
	p.byte('-')
	d.month = p.digits(2)
	p.byte('-')
	d.day = p.digits(2)
	offset := 0
	if p.ok && len(p.text) > 0 {
		if !p.skip('T') && !p.skip('t') {
			p.byte(' ')
		}
		offset = p.clock(&d)
	}
	if !p.ok || len(p.text) > 0 || d.month < 1 || d.month > 12 || d.day < 1 || d.day > daysIn(d.year, d.month) ||
		d.hour > 23 || d.minute > 59 || d.second > 59 {
		return d, false
	}
	if offset != 0 {
		return d.shift(-offset)
	}
	return d, true
}

// dateScanner eats its text from the front; ok becomes false at the first thing that does not fit.
type dateScanner struct {
	text []byte
	ok   bool
}

func (p *dateScanner) digits(n int) int {
	if len(p.text) < n {
		p.ok = false
		return 0
	}
	value := 0
	for _, c := range p.text[:n] {
		if c < '0' || c > '9' {
			p.ok = false
			return 0
		}
		value = value*10 + int(c-'0')
	}
	p.text = p.text[n:]
	return value
}

func (p *dateScanner) skip(c byte) bool {
	if len(p.text) > 0 && p.text[0] == c {
		p.text = p.text[1:]
		return true
	}
	return false
}

func (p *dateScanner) byte(c byte) {
	if !p.skip(c) {
		p.ok = false
	}
}

// clock reads HH:MM[:SS[.fraction]][zone] and returns the zone's offset from UTC in minutes.
func (p *dateScanner) clock(d *date) int {
	d.hour = p.digits(2)
	p.byte(':')
	d.minute = p.digits(2)
	if p.ok && p.skip(':') {
		d.second = p.digits(2)
		if p.skip('.') || p.skip(',') {
			d.millis = p.fraction()
		}
	}
	return p.zone()
}

func (p *dateScanner) fraction() int {
	n, millis := 0, 0
	for ; n < len(p.text) && p.text[n] >= '0' && p.text[n] <= '9'; n++ {
		if n < 3 {
			millis = millis*10 + int(p.text[n]-'0')
		}
	}
	if n == 0 {
		p.ok = false
	}
	for i := n; i < 3; i++ {
		millis *= 10
	}
	p.text = p.text[n:]
	return millis
}

// zone reads nothing, Z, ±HH, ±HHMM or ±HH:MM.
func (p *dateScanner) zone() int {
	if len(p.text) == 0 || p.skip('Z') || p.skip('z') {
		return 0
	}
	sign := 1
	if !p.skip('+') {
		p.byte('-')
		sign = -1
	}
	hours, minutes := p.digits(2), 0
	if p.ok && len(p.text) > 0 {
		p.skip(':')
		minutes = p.digits(2)
	}
	if hours > 23 || minutes > 59 {
		p.ok = false
	}
	return sign * (hours*60 + minutes)
}

func parseRFC1123(text []byte) (date, bool) {
	if len(text) > 40 {
		return date{}, false
	}
	t, err := time.ParseInLocation(time.RFC1123Z, string(text), time.UTC)
	if err != nil {
		// RFC 1123 also names zones. Only the two whose offset is beyond doubt are read.
		t, err = time.ParseInLocation(time.RFC1123, string(text), time.UTC)
		if err != nil || t.Location() != time.UTC && t.Location().String() != "GMT" {
			return date{}, false
		}
	}
	return dateOf(t)
}

// dateOf is t as a date; ok is false for a year that does not have four digits.
func dateOf(t time.Time) (d date, ok bool) {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	d = date{year, int(month), day, hour, minute, second, t.Nanosecond() / int(time.Millisecond)}
	return d, year >= 0 && year <= 9999
}

func (d date) shift(minutes int) (date, bool) {
	t := time.Date(d.year, time.Month(d.month), d.day, d.hour, d.minute+minutes, d.second, d.millis*int(time.Millisecond), time.UTC)
	return dateOf(t)
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// append writes YYYY-MM-DDTHH:MM:SS.mmmZ.
func (d date) append(dst []byte) []byte {
	return append(dst,
		'0'+byte(d.year/1000), '0'+byte(d.year/100%10), '0'+byte(d.year/10%10), '0'+byte(d.year%10), '-',
		'0'+byte(d.month/10), '0'+byte(d.month%10), '-',
		'0'+byte(d.day/10), '0'+byte(d.day%10), 'T',
		'0'+byte(d.hour/10), '0'+byte(d.hour%10), ':',
		'0'+byte(d.minute/10), '0'+byte(d.minute%10), ':',
		'0'+byte(d.second/10), '0'+byte(d.second%10), '.',
		'0'+byte(d.millis/100), '0'+byte(d.millis/10%10), '0'+byte(d.millis%10), 'Z')
}
