// Package load asks a server on this machine as fast as it answers, over a number of keep-alive HTTP/1.1 connections, and
// says how often and how fast that was. It shares the cores with what it measures, so it does little: each connection
// writes a request, reads the answer as far as it must to know where it ends, and notes the time.
//
// It is bounded in time and count, and speaks to loopback addresses only: it is no tool to use against others.
package load
