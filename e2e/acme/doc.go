// Package acme pins Pebble, the test server of the ACME protocol (RFC 8555), and the DNS server that it asks: tools of the
// end-to-end tests, in a module of their own so that nothing else has to fetch them.
package acme
