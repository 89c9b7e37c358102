package load

import (
	"bytes"
	"errors"
	"strconv"
)

var errAnswer = errors.New("load: this is no HTTP/1.1 answer that can be followed by another")

// head is what must be known of an answer: its status, where its body begins and ends.
type head struct {
	status     int
	start, end int
	chunked    bool
}

// parse reads an answer from the start of b and reports whether all of it is there. More bytes than the answer has are an
// error, for nothing else was asked. b is borrowed.
func (h *head) parse(b []byte) (whole bool, err error) {
	blank := bytes.Index(b, []byte("\r\n\r\n"))
	if blank < 0 {
		if len(b) > 64<<10 {
			return false, errAnswer
		}
		return false, nil
	}
	lines := b[:blank+2]
	h.start = blank + 4
	if len(lines) < len("HTTP/1.1 200\r\n") || string(lines[:9]) != "HTTP/1.1 " {
		return false, errAnswer
	}
	if h.status, err = strconv.Atoi(string(lines[9:12])); err != nil {
		return false, errAnswer
	}
	length := -1
	if h.status == 204 || h.status == 304 {
		length = 0
	}
	h.chunked = false
	for i := bytes.IndexByte(lines, '\n') + 1; i < len(lines); {
		line := lines[i:]
		line = line[:bytes.IndexByte(line, '\n')]
		i += len(line) + 1
		// Long enough, and spelt in any case: "Content-Length", "Transfer-Encoding".
		switch {
		case len(line) > 15 && line[14] == ':' && bytes.EqualFold(line[:14], []byte("content-length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[15:]))); err != nil || length < 0 {
				return false, errAnswer
			}
		case len(line) > 18 && line[17] == ':' && bytes.EqualFold(line[:17], []byte("transfer-encoding")):
			if !bytes.EqualFold(bytes.TrimSpace(line[18:]), []byte("chunked")) {
				return false, errAnswer
			}
			h.chunked = true
		}
	}
	switch {
	case h.chunked:
		end, err := chunks(b[h.start:], nil)
		if err != nil || end == 0 {
			return false, err
		}
		h.end = h.start + end
	case length < 0:
		return false, errAnswer // it ends with the connection
	default:
		if h.end = h.start + length; h.end < h.start {
			return false, errAnswer
		}
	}
	if len(b) > h.end {
		return false, errAnswer
	}
	return len(b) == h.end, nil
}

// body returns the body of the whole answer in b, without the sizes of its chunks.
func (h *head) body(b []byte) ([]byte, error) {
	if !h.chunked {
		return bytes.Clone(b[h.start:h.end]), nil
	}
	body := []byte{}
	_, err := chunks(b[h.start:h.end], func(chunk []byte) { body = append(body, chunk...) })
	return body, err
}

// chunks walks over a chunked body, and returns where it ends, 0 if it goes on behind b. Trailers are not understood.
func chunks(b []byte, yield func([]byte)) (end int, err error) {
	for i := 0; ; {
		line := bytes.IndexByte(b[i:], '\n')
		if line < 0 {
			if len(b)-i > 32 {
				return 0, errAnswer
			}
			return 0, nil
		}
		if line < 2 || b[i+line-1] != '\r' {
			return 0, errAnswer
		}
		size, err := strconv.ParseUint(string(b[i:i+line-1]), 16, 31)
		if err != nil {
			return 0, errAnswer
		}
		i += line + 1
		if len(b)-i < int(size)+2 {
			return 0, nil
		}
		if b[i+int(size)] != '\r' || b[i+int(size)+1] != '\n' {
			return 0, errAnswer
		}
		if yield != nil {
			yield(b[i : i+int(size)])
		}
		if i += int(size) + 2; size == 0 {
			return i, nil
		}
	}
}
