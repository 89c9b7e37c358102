package node

import "strconv"

// The account of the comparisons, on every side.
const (
	Email    = "bench@example.com"
	Password = "correct horse battery"
)

// NoOwner is an id of nobody.
const NoOwner = "aaaaaaaaaaaaaaaaaaaaaaaa"

// Prices is how many different prices the documents have: equally many documents have each.
const Prices = 100

// Text makes a document about 500 bytes long.
const Text = `Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore magna aliqua. Ut enim ad minim veniam, quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea commodo consequat. Duis aute irure dolor in.`

// AppendID appends the id of document i: in the order of i, and older than any id that a node makes.
func AppendID(dst []byte, i int) []byte {
	const digits = "0123456789abcdef"
	high, low := uint64(0x6553f100+i/10), uint64(i)
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, digits[high>>shift&15])
	}
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, digits[low>>shift&15])
	}
	return dst
}

// Price is the price of document i. Neighbours differ.
func Price(i int) int { return i * 7919 % Prices }

// AppendDocument appends document i as a node answers it.
func AppendDocument(dst []byte, i int, owner string) []byte {
	dst = append(dst, `{"_id":"`...)
	dst = AppendID(dst, i)
	dst = append(dst, `",`...)
	dst = AppendMembers(dst, i, Price(i), owner)
	return append(dst, `,"createdAt":"2026-01-02T03:04:05.678Z","updatedAt":"2026-01-02T03:04:05.678Z"}`...)
}

// AppendMembers appends what a client sends of a document, without its braces.
func AppendMembers(dst []byte, i, price int, owner string) []byte {
	dst = append(dst, `"title":"Post number `...)
	dst = strconv.AppendInt(dst, int64(i), 10)
	dst = append(dst, ` about things","body":"`...)
	dst = append(dst, Text...)
	dst = append(dst, `","price":`...)
	dst = strconv.AppendInt(dst, int64(price), 10)
	dst = append(dst, `,"userId":"`...)
	dst = append(dst, owner...)
	return append(dst, `","tags":["go","db","bench"]`...)
}
