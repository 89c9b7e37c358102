package node

import "strconv"

// AppendBody ends a request with a JSON body.
func AppendBody(dst, body []byte) []byte {
	dst = append(dst, "Content-Type: application/json\r\nContent-Length: "...)
	dst = appendInt(dst, len(body))
	dst = append(dst, "\r\n\r\n"...)
	return append(dst, body...)
}

func appendInt(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }
