package aggregate

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Bounds of exact arithmetic.
const (
	maxDigits = 60
	maxScale  = 30 // digits behind the point
)

// number is a JSON number: whole·10^-scale exactly, or, when that would take too many digits, the nearest float64.
type number struct {
	small  int64    // the whole, unless wide is set
	wide   *big.Int // the whole when it does not fit; never changed once it is here
	scale  int      // 0 to maxScale
	float  float64
	approx bool // float counts
}

func whole(n int64) number     { return number{small: n} }
func inexact(f float64) number { return number{float: f, approx: true} }
func (n number) big() *big.Int {
	if n.wide != nil {
		return n.wide
	}
	return big.NewInt(n.small)
}

// parseNumber reads a number's canonical text.
func parseNumber(raw []byte) number {
	if len(raw) < 18 { // most are short whole numbers
		value, negative, plain := int64(0), false, true
		for i, c := range raw {
			switch {
			case c == '-' && i == 0:
				negative = true
			case c < '0' || c > '9':
				plain = false
			default:
				value = value*10 + int64(c-'0')
			}
		}
		if plain {
			if negative {
				value = -value
			}
			return whole(value)
		}
	}
	text := string(raw)
	mantissa, power, _ := strings.Cut(strings.ToLower(text), "e")
	exponent := 0
	if power != "" {
		var err error
		if exponent, err = strconv.Atoi(power); err != nil {
			exponent = math.MaxInt32
		}
	}
	front, back, _ := strings.Cut(mantissa, ".")
	back = strings.TrimRight(back, "0")
	scale := len(back) - exponent
	digits := front + back
	if exponent == math.MaxInt32 || exponent > maxDigits || exponent < -2*maxDigits || len(digits) > 2*maxDigits {
		return approximate(text)
	}
	value, ok := new(big.Int).SetString(digits, 10)
	if !ok {
		return approximate(text)
	}
	if scale < 0 {
		value.Mul(value, powerOf10(-scale))
		scale = 0
	}
	if n, ok := fit(value, scale); ok {
		return n
	}
	return approximate(text)
}

// approximate reads a number as float64; what is too large for one, which no document holds, counts as the largest.
func approximate(text string) number {
	f, _ := strconv.ParseFloat(text, 64)
	if math.IsInf(f, 0) {
		f = math.Copysign(math.MaxFloat64, f)
	}
	return inexact(f)
}

func powerOf10(n int) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}

// fit makes a number of value·10^-scale, without zeros at its end; false when it takes too many digits. value is taken over.
func fit(value *big.Int, scale int) (number, bool) {
	ten, rest := big.NewInt(10), new(big.Int)
	for scale > 0 {
		quotient, _ := new(big.Int).QuoRem(value, ten, rest)
		if rest.Sign() != 0 {
			break
		}
		value, scale = quotient, scale-1
	}
	switch {
	case scale > maxScale || value.BitLen() > 200: // 60 digits are 200 bits
		return number{}, false
	case value.IsInt64():
		return number{small: value.Int64(), scale: scale}, true
	}
	return number{wide: value, scale: scale}, true
}

// float64 is the nearest one.
func (n number) float64() float64 {
	if n.approx {
		return n.float
	}
	if n.wide == nil && n.scale == 0 {
		return float64(n.small)
	}
	f, _ := strconv.ParseFloat(string(n.append(nil)), 64)
	return f
}

func (n number) zero() bool {
	if n.approx {
		return n.float == 0
	}
	return n.wide == nil && n.small == 0
}

// append writes the number as JSON.
func (n number) append(dst []byte) []byte {
	if n.approx {
		f := n.float
		if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
			return strconv.AppendFloat(dst, f, 'e', -1, 64)
		}
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	if n.scale == 0 && n.wide == nil {
		return strconv.AppendInt(dst, n.small, 10)
	}
	value := n.big()
	if value.Sign() < 0 {
		dst = append(dst, '-')
	}
	digits := new(big.Int).Abs(value).String()
	if len(digits) <= n.scale {
		digits = strings.Repeat("0", n.scale-len(digits)+1) + digits
	}
	dst = append(dst, digits[:len(digits)-n.scale]...)
	if n.scale > 0 {
		dst = append(append(dst, '.'), digits[len(digits)-n.scale:]...)
	}
	return dst
}

// aligned returns the wholes of two exact numbers under one scale.
func aligned(a, b number) (x, y *big.Int, scale int) {
	x, y = a.big(), b.big()
	switch {
	case a.scale < b.scale:
		return new(big.Int).Mul(x, powerOf10(b.scale-a.scale)), y, b.scale
	case b.scale < a.scale:
		return x, new(big.Int).Mul(y, powerOf10(a.scale-b.scale)), a.scale
	}
	return x, y, a.scale
}

// finite is the result of an operation on float64; ok is false when it has left their range.
func finite(f float64) (number, bool) { return inexact(f), !math.IsInf(f, 0) && !math.IsNaN(f) }

func (n number) negative() number {
	if n.approx {
		return inexact(-n.float)
	}
	return number{wide: new(big.Int).Neg(n.big()), scale: n.scale}.tidy()
}

// tidy keeps what fits an int64 in one.
func (n number) tidy() number {
	if n.wide != nil && n.wide.IsInt64() {
		return number{small: n.wide.Int64(), scale: n.scale}
	}
	return n
}

func (n number) plus(m number) (number, bool) {
	if n.approx || m.approx {
		return finite(n.float64() + m.float64())
	}
	if n.wide == nil && m.wide == nil && n.scale == 0 && m.scale == 0 {
		if sum := n.small + m.small; (sum > n.small) == (m.small > 0) {
			return whole(sum), true
		}
	}
	x, y, scale := aligned(n, m)
	if out, ok := fit(new(big.Int).Add(x, y), scale); ok {
		return out, true
	}
	return finite(n.float64() + m.float64())
}

func (n number) minus(m number) (number, bool) { return n.plus(m.negative()) }

func (n number) times(m number) (number, bool) {
	if !n.approx && !m.approx {
		if out, ok := fit(new(big.Int).Mul(n.big(), m.big()), n.scale+m.scale); ok {
			return out, true
		}
	}
	return finite(n.float64() * m.float64())
}

// over divides; the result is exact when it is a whole number. m is not zero.
func (n number) over(m number) (number, bool) {
	if !n.approx && !m.approx {
		x, y, _ := aligned(n, m)
		quotient, rest := new(big.Int).QuoRem(x, y, new(big.Int))
		if rest.Sign() == 0 {
			if out, ok := fit(quotient, 0); ok {
				return out, true
			}
		}
	}
	return finite(n.float64() / m.float64())
}

// modulo is the rest of a division towards zero. m is not zero.
func (n number) modulo(m number) (number, bool) {
	if !n.approx && !m.approx {
		x, y, scale := aligned(n, m)
		if out, ok := fit(new(big.Int).Rem(x, y), scale); ok {
			return out, true
		}
	}
	return finite(math.Mod(n.float64(), m.float64()))
}

// rounding is a way to give digits up.
type rounding uint8

const (
	towardsZero rounding = iota
	down
	up
	halfEven
)

// round gives up the digits behind places of them.
func (n number) round(how rounding, places int) (number, bool) {
	if n.approx {
		unit := math.Pow(10, float64(places))
		f := n.float * unit
		switch how {
		case towardsZero:
			f = math.Trunc(f)
		case down:
			f = math.Floor(f)
		case up:
			f = math.Ceil(f)
		default:
			f = math.RoundToEven(f)
		}
		if f /= unit; math.IsInf(f, 0) || math.IsNaN(f) {
			return n, true // it has no digits behind the point to give up
		}
		return inexact(f), true
	}
	if n.scale <= places {
		return n, true
	}
	unit := powerOf10(n.scale - places)
	quotient, rest := new(big.Int).QuoRem(n.big(), unit, new(big.Int))
	sign := int64(rest.Sign())
	away := false // from zero
	switch how {
	case down:
		away = sign < 0
	case up:
		away = sign > 0
	case halfEven:
		twice := new(big.Int).Abs(rest)
		order := twice.Lsh(twice, 1).Cmp(unit)
		away = order > 0 || order == 0 && quotient.Bit(0) == 1
	}
	if away {
		quotient.Add(quotient, big.NewInt(sign))
	}
	return fit(quotient, places)
}
