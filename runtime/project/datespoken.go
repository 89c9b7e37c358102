package project

import (
	"bytes"
	"strings"
	"time"
)

// maxDateText bounds what is read as a date in words: Date.prototype.toString takes half of it.
const maxDateText = 128

// parseSpokenDate reads the other forms that JavaScript's Date.parse takes and people send: 2026, 2026-11, 2026/1/2,
// 1/2/2026 (the month first), Jan 2, 2026, 2 January 2026 3:04 PM, and what Date.prototype.toString writes. Week days and
// comments in brackets are passed over. Without a zone it is UTC; unlike in JavaScript an unknown word, a missing year or
// a day that no calendar has is refused.
func parseSpokenDate(text []byte) (date, bool) {
	text = trimSpace(text)
	if len(text) > maxDateText {
		return date{}, false
	}
	p := spokenDate{rest: text, month: -1}
	for len(p.rest) > 0 {
		if !p.part() {
			return date{}, false
		}
	}
	return p.date()
}

// spokenDate is a date that is being read, part by part.
type spokenDate struct {
	rest    []byte
	numbers [3]struct{ value, digits int }
	count   int
	month   int // named; -1 until then
	clock   bool
	hour    int
	minute  int
	second  int
	millis  int
	half    string // am or pm
	zoned   bool   // a zone was named
	offset  int    // minutes east of UTC
	shifted bool   // the zone's offset was given in digits
}

var (
	months = []string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"}
	days   = []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
	zones  = map[string]int{"z": 0, "utc": 0, "gmt": 0, "ut": 0, "est": -300, "edt": -240, "cst": -360, "cdt": -300, "mst": -420, "mdt": -360, "pst": -480, "pdt": -420}
)

// part eats one part.
func (p *spokenDate) part() bool {
	switch c := p.rest[0]; {
	case c == ' ' || c == ',':
		p.rest = p.rest[1:]
		return true
	case c == '(':
		i := bytes.IndexByte(p.rest, ')')
		p.rest = p.rest[i+1:]
		return i > 0
	case (c == '+' || c == '-') && (p.clock || p.zoned):
		return p.shift()
	case '0' <= c && c <= '9':
		return p.number()
	}
	return p.word()
}

// digits eats a number of at most six digits and says how many it had.
func (p *spokenDate) digits() (value, n int) {
	for n < len(p.rest) && n < 7 && p.rest[n] >= '0' && p.rest[n] <= '9' {
		value = value*10 + int(p.rest[n]-'0')
		n++
	}
	p.rest = p.rest[n:]
	return value, n
}

func (p *spokenDate) skip(c byte) bool {
	if len(p.rest) > 0 && p.rest[0] == c {
		p.rest = p.rest[1:]
		return true
	}
	return false
}

// number eats a time of day, or a number of the date with the separator behind it.
func (p *spokenDate) number() bool {
	value, n := p.digits()
	if n <= 2 && p.skip(':') {
		return p.time(value)
	}
	if p.count == len(p.numbers) || n > 4 || p.clock && p.half == "" && p.count == len(p.numbers) {
		return false
	}
	p.numbers[p.count].value, p.numbers[p.count].digits = value, n
	p.count++
	if p.count+p.named() < 3 && len(p.rest) > 1 && (p.rest[0] == '/' || p.rest[0] == '-') && !p.clock {
		p.rest = p.rest[1:] // between two numbers, or a number and a month
		return p.rest[0] != ' '
	}
	return true
}

func (p *spokenDate) named() int {
	if p.month >= 0 {
		return 1
	}
	return 0
}

func (p *spokenDate) time(hour int) bool {
	var n int
	if p.clock {
		return false
	}
	p.clock, p.hour = true, hour
	if p.minute, n = p.digits(); n != 2 {
		return false
	}
	if p.skip(':') {
		if p.second, n = p.digits(); n != 2 {
			return false
		}
		if p.skip('.') {
			s := dateScanner{text: p.rest, ok: true}
			p.millis, p.rest = s.fraction(), s.text
			return s.ok
		}
	}
	return true
}

// shift eats +HH, +HHMM or +HH:MM.
func (p *spokenDate) shift() bool {
	sign := 1
	if p.rest[0] == '-' {
		sign = -1
	}
	p.rest = p.rest[1:]
	hours, n := p.digits()
	minutes := 0
	switch {
	case n == 4:
		hours, minutes = hours/100, hours%100
	case n == 1 || n == 2:
		if p.skip(':') {
			if minutes, n = p.digits(); n != 2 {
				return false
			}
		}
	default:
		return false
	}
	if p.shifted || hours > 23 || minutes > 59 {
		return false
	}
	p.shifted = true
	p.offset += sign * (hours*60 + minutes)
	return true
}

func (p *spokenDate) word() bool {
	n := 0
	for n < len(p.rest) && (p.rest[n]|0x20) >= 'a' && (p.rest[n]|0x20) <= 'z' {
		n++
	}
	word := strings.ToLower(string(p.rest[:n]))
	p.rest = p.rest[n:]
	if n >= 3 {
		p.skip('.') // Jan. 2
		for i, name := range months {
			if strings.HasPrefix(name, word) && p.month < 0 {
				p.month = i
				if p.count > 0 || len(p.rest) > 0 && p.rest[0] == '-' {
					p.skip('-')
				}
				return true
			}
		}
		for _, name := range days {
			if strings.HasPrefix(name, word) {
				return true
			}
		}
	}
	switch offset, isZone := zones[word]; {
	case isZone && !p.zoned && p.clock:
		p.zoned, p.offset = true, offset
		return true
	case (word == "am" || word == "pm") && p.clock && p.half == "":
		p.half = word
		return true
	case word == "t" && p.count == 3 && !p.clock:
		return true
	}
	return false
}

// date puts the parts together.
func (p *spokenDate) date() (date, bool) {
	d := date{hour: p.hour, minute: p.minute, second: p.second, millis: p.millis}
	first, second, third := p.numbers[0], p.numbers[1], p.numbers[2]
	year := func(n struct{ value, digits int }) int {
		if n.digits > 2 {
			return n.value
		}
		if n.value < 50 { // as JavaScript reads two digits
			return 2000 + n.value
		}
		return 1900 + n.value
	}
	switch {
	case p.month >= 0 && p.count == 2 && first.digits > 2:
		d.year, d.month, d.day = year(first), p.month+1, second.value
	case p.month >= 0 && p.count == 2:
		d.year, d.month, d.day = year(second), p.month+1, first.value
	case p.month >= 0 && p.count == 1 && first.digits == 4:
		d.year, d.month, d.day = first.value, p.month+1, 1
	case p.month >= 0:
		return d, false
	case p.count == 3 && first.digits == 4:
		d.year, d.month, d.day = first.value, second.value, third.value
	case p.count == 3 && first.digits <= 2:
		d.year, d.month, d.day = year(third), first.value, second.value
	case p.count == 2 && first.digits == 4 && !p.clock:
		d.year, d.month, d.day = first.value, second.value, 1
	case p.count == 1 && first.digits == 4 && !p.clock:
		d.year, d.month, d.day = first.value, 1, 1
	default:
		return d, false
	}
	if p.half != "" {
		if d.hour < 1 || d.hour > 12 {
			return d, false
		}
		if d.hour %= 12; p.half == "pm" {
			d.hour += 12
		}
	}
	midnight := d.hour == 24 && d.minute == 0 && d.second == 0 && d.millis == 0 // of the day's end
	if midnight {
		d.hour = 0
	}
	if d.month < 1 || d.month > 12 || d.day < 1 || d.day > daysIn(d.year, d.month) || d.hour > 23 || d.minute > 59 || d.second > 59 {
		return d, false
	}
	if midnight {
		p.offset -= int(24 * time.Hour / time.Minute)
	}
	if p.offset != 0 {
		return d.shift(-p.offset)
	}
	return d, true
}
