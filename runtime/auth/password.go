package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	goruntime "runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/text/unicode/norm"
)

var (
	// ErrBusy reports that so many passwords wait to be hashed that another would only add to the queue: try later.
	ErrBusy = errors.New("auth: too many password checks at once")
	// ErrPHC reports a stored password hash that is neither argon2id in PHC form nor bcrypt, or asks for work beyond the bounds.
	ErrPHC = errors.New("auth: bad password hash")
)

// HasherOptions tunes a [Hasher]. The zero value works.
type HasherOptions struct {
	Time      uint32    // argon2id passes; default 2
	MemoryKiB uint32    // memory of one hash in KiB; default 19456 (19 MiB), the OWASP advice for two passes
	Threads   uint8     // lanes; default 1, since the slots already use every core
	Slots     int       // hashes computed at once; default half of GOMAXPROCS, at least one; each needs MemoryKiB
	Queue     int       // callers that may wait for a slot before ErrBusy; default 64
	Rand      io.Reader // salts; default crypto/rand.Reader
}

// Hasher computes and checks argon2id password hashes, and checks bcrypt ones of accounts that were made elsewhere. At most Slots run at
// once, so that a burst of logins can take neither all memory nor the cores that everything else needs: hashing on all of them
// makes each other request wait for its turn behind a whole hash. Safe for concurrent use.
//
// Each hash allocates its memory anew, because the library offers no way to lend it a buffer. Measured on two cores:
// about 40 ms and one 19 MiB allocation a hash, and 123 MiB resident at the peak of 100 hashes through two slots, half of
// it garbage that the next collection takes. The slots bound it; forcing collections would only add pauses.
type Hasher struct {
	params phcParams
	pool   *hashPool
	rand   io.Reader
}

// hashPool is the work that all Hashers of a server share.
type hashPool struct {
	slots   chan struct{}
	queue   int64
	waiting atomic.Int64
}

// Bounds on what a stored hash may ask for: a row written by a stranger must not become a memory bomb.
const (
	maxPHC       = 512
	maxMemoryKiB = 64 << 10
	maxTime      = 16
	maxThreads   = 8
	maxCost      = 14 // of bcrypt: about a second
	saltLen      = 16
	sumLen       = 32
)

type phcParams struct {
	memory, time uint32
	threads      uint8
}

// NewHasher returns a Hasher; parameters outside of the bounds that Verify accepts are brought within them, since a
// hash that could not be checked again must not be made.
func NewHasher(opt HasherOptions) *Hasher {
	if opt.Time == 0 {
		opt.Time = DefaultHashTime
	}
	if opt.MemoryKiB == 0 {
		opt.MemoryKiB = DefaultHashKiB
	}
	if opt.Threads == 0 {
		opt.Threads = 1
	}
	if opt.Slots <= 0 {
		opt.Slots = max(1, goruntime.GOMAXPROCS(0)/2)
	}
	if opt.Queue <= 0 {
		opt.Queue = 64
	}
	if opt.Rand == nil {
		opt.Rand = rand.Reader
	}
	return &Hasher{
		params: bounded(opt.MemoryKiB, opt.Time, min(opt.Threads, maxThreads)),
		pool:   &hashPool{slots: make(chan struct{}, opt.Slots), queue: int64(opt.Queue)},
		rand:   opt.Rand,
	}
}

// Parameters of a hash unless somebody says otherwise: the OWASP advice for two passes.
const (
	DefaultHashKiB  = 19 << 10
	DefaultHashTime = 2
)

func bounded(memory, time uint32, threads uint8) phcParams {
	return phcParams{memory: min(max(memory, 8*uint32(threads)), maxMemoryKiB), time: min(time, maxTime), threads: threads}
}

// With returns a Hasher that makes hashes with other parameters, in the same slots. 0 means that of h. What h has made it checks as well,
// and wants made anew.
func (h *Hasher) With(memoryKiB, time uint32) *Hasher {
	if memoryKiB == 0 {
		memoryKiB = h.params.memory
	}
	if time == 0 {
		time = h.params.time
	}
	return &Hasher{params: bounded(memoryKiB, time, h.params.threads), pool: h.pool, rand: h.rand}
}

// Hash returns the PHC string of a password under a fresh salt. It waits for a slot as long as ctx allows, or answers
// [ErrBusy] at once when the queue is full.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	var salt [saltLen]byte
	if _, err := io.ReadFull(h.rand, salt[:]); err != nil {
		return "", fmt.Errorf("auth: hash password: %w", err)
	}
	sum, err := h.derive(ctx, password, salt[:], h.params, sumLen)
	if err != nil {
		return "", err
	}
	return formatPHC(h.params, salt[:], sum), nil
}

// Verify reports whether password belongs to the stored PHC string, and whether the hash was made with other parameters
// than this Hasher's and should be made again. An empty phc means that there is no such user: the same work is done and
// the answer is no, so that the time taken does not tell which addresses exist.
func (h *Hasher) Verify(ctx context.Context, phc, password string) (ok, rehash bool, err error) {
	if utf8.RuneCountInString(password) > MaxPassword {
		return false, false, nil // no account has it, so that no work tells anything either
	}
	if phc == "" {
		var salt [saltLen]byte
		_, err := h.derive(ctx, password, salt[:], h.params, sumLen)
		return false, false, err
	}
	if isBcrypt(phc) {
		ok, err := h.verifyBcrypt(ctx, phc, password)
		return ok, ok, err
	}
	params, salt, want, err := parsePHC(phc)
	if err != nil {
		return false, false, err
	}
	got, err := h.derive(ctx, password, salt, params, uint32(len(want)))
	if err != nil {
		return false, false, err
	}
	if subtle.ConstantTimeCompare(got, want) != 1 {
		return false, false, nil
	}
	return true, params != h.params || len(want) != sumLen || len(salt) < saltLen, nil
}

// derive runs argon2id in a slot. The password is brought to NFC first: one keyboard composes é, another sends two code
// points, and the user typed the same.
func (h *Hasher) derive(ctx context.Context, password string, salt []byte, p phcParams, n uint32) ([]byte, error) {
	done, err := h.pool.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return argon2.IDKey([]byte(norm.NFC.String(password)), salt, p.time, p.memory, p.threads, n), nil
}

// enter waits for a slot; done gives it back.
func (p *hashPool) enter(ctx context.Context) (done func(), err error) {
	select {
	case p.slots <- struct{}{}:
	default:
		if p.waiting.Add(1) > p.queue {
			p.waiting.Add(-1)
			return nil, ErrBusy
		}
		select {
		case p.slots <- struct{}{}:
			p.waiting.Add(-1)
		case <-ctx.Done():
			p.waiting.Add(-1)
			return nil, ctx.Err()
		}
	}
	if err := ctx.Err(); err != nil {
		<-p.slots
		return nil, err
	}
	return func() { <-p.slots }, nil
}

// maxBcrypt is how much of a password bcrypt looks at, in bytes.
const maxBcrypt = 72

// isBcrypt reports whether a stored hash is one of another system's: $2a$, $2b$ or $2y$, which name the same algorithm.
func isBcrypt(phc string) bool {
	return len(phc) == 60 && (phc[:4] == "$2a$" || phc[:4] == "$2b$" || phc[:4] == "$2y$")
}

// verifyBcrypt checks a password against a bcrypt hash. One that is longer than what bcrypt looks at never matches: all that begin alike
// would. The bytes are taken as they were sent, since that is what the other system has hashed.
func (h *Hasher) verifyBcrypt(ctx context.Context, hash, password string) (bool, error) {
	if cost, err := bcrypt.Cost([]byte(hash)); err != nil || cost > maxCost {
		return false, fmt.Errorf("%w: bcrypt", ErrPHC)
	}
	done, err := h.pool.enter(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	long := len(password) > maxBcrypt
	if long { // the same work, for a no
		password = password[:maxBcrypt]
	}
	err = bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
	if err != nil && !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, fmt.Errorf("%w: %w", ErrPHC, err)
	}
	return err == nil && !long, nil
}

func formatPHC(p phcParams, salt, sum []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.time, p.threads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(sum))
}

// parsePHC reads a stored hash strictly: this version, this order of parameters, no leading zeros, within the bounds.
func parsePHC(s string) (p phcParams, salt, sum []byte, err error) {
	if len(s) > maxPHC {
		return p, nil, nil, fmt.Errorf("%w: too long", ErrPHC)
	}
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v=19" {
		return p, nil, nil, fmt.Errorf("%w: not argon2id version 19", ErrPHC)
	}
	fields := strings.Split(parts[3], ",")
	if len(fields) != 3 {
		return p, nil, nil, fmt.Errorf("%w: parameters", ErrPHC)
	}
	var threads uint32
	for i, want := range []struct {
		name     string
		min, max uint32
		to       *uint32
	}{
		{"m=", 8, maxMemoryKiB, &p.memory},
		{"t=", 1, maxTime, &p.time},
		{"p=", 1, maxThreads, &threads},
	} {
		text, ok := strings.CutPrefix(fields[i], want.name)
		n, err := strconv.ParseUint(text, 10, 32)
		if !ok || err != nil || strconv.FormatUint(n, 10) != text || n < uint64(want.min) || n > uint64(want.max) {
			return p, nil, nil, fmt.Errorf("%w: parameter %s", ErrPHC, want.name)
		}
		*want.to = uint32(n)
	}
	p.threads = uint8(threads)
	strict := base64.RawStdEncoding.Strict()
	salt, err = strict.DecodeString(parts[4])
	if err != nil || len(salt) < 8 || len(salt) > 64 || strings.ContainsAny(parts[4], "\r\n") {
		return p, nil, nil, fmt.Errorf("%w: salt", ErrPHC)
	}
	sum, err = strict.DecodeString(parts[5])
	if err != nil || len(sum) < 16 || len(sum) > 64 || strings.ContainsAny(parts[5], "\r\n") {
		return p, nil, nil, fmt.Errorf("%w: sum", ErrPHC)
	}
	return p, salt, sum, nil
}
