package project

import (
	"errors"
	"net/url"
	"strings"
)

// Domains is a compiled list of allowed domains. Entries are `*`, a full origin (`https://app.example`, matched
// exactly, scheme and port included), a bare host name (any scheme and port) or `*.base` (base itself and whatever
// lies below it, on a label boundary).
type Domains struct {
	any     bool
	origins map[string]struct{}
	hosts   map[string]struct{}
	bases   []string
}

// NewDomains compiles entries that Config.Validate has accepted. An empty list allows no browser origin at all.
func NewDomains(entries []string) *Domains {
	d := &Domains{origins: map[string]struct{}{}, hosts: map[string]struct{}{}}
	for _, e := range entries {
		e = strings.ToLower(strings.TrimSpace(e))
		switch {
		case e == "*":
			d.any = true
		case strings.Contains(e, "://"):
			if o, err := ParseOrigin(e); err == nil {
				d.origins[o.String()] = struct{}{}
			}
		case strings.HasPrefix(e, "*."):
			d.bases = append(d.bases, e[2:])
		case e != "":
			d.hosts[e] = struct{}{}
		}
	}
	return d
}

// Any reports whether every origin is allowed, so that none needs to be parsed.
func (d *Domains) Any() bool { return d.any }

// Allows reports whether the origin is on the list.
func (d *Domains) Allows(o Origin) bool {
	if d.any {
		return true
	}
	if _, ok := d.origins[o.String()]; ok {
		return true
	}
	if _, ok := d.hosts[o.Host]; ok {
		return true
	}
	for _, base := range d.bases {
		if o.Host == base || strings.HasSuffix(o.Host, "."+base) {
			return true
		}
	}
	return false
}

// Origin is a parsed web origin: scheme, lower-case host name without brackets or port, and port ("" when default).
type Origin struct{ Scheme, Host, Port string }

// ErrOrigin is returned for what is not an http or https origin, the literal `null` among it.
var ErrOrigin = errors.New("project: not a web origin")

// ParseOrigin reads an Origin header, or the origin part of a Referer. The default port of a scheme is dropped, as
// browsers do (RFC 6454 section 6).
func ParseOrigin(s string) (Origin, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return Origin{}, ErrOrigin
	}
	o := Origin{Scheme: u.Scheme, Host: strings.ToLower(u.Hostname()), Port: u.Port()}
	if o.Host == "" {
		return Origin{}, ErrOrigin
	}
	if (o.Scheme == "https" && o.Port == "443") || (o.Scheme == "http" && o.Port == "80") {
		o.Port = ""
	}
	return o, nil
}

// String is the origin as a browser sends it.
func (o Origin) String() string {
	host := o.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if o.Port != "" {
		host += ":" + o.Port
	}
	return o.Scheme + "://" + host
}
