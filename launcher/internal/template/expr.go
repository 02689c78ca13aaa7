package template

import (
	"fmt"
	"strconv"
	"strings"
)

// Sum is a derived port: a constant plus and minus names. Names are listeners, `number` and `index`.
type Sum struct {
	Const int
	Terms []Term
}

// Term is a name in a Sum, Sign +1 or -1.
type Term struct {
	Sign int
	Name string
}

// ParseSum reads "client + 10000", "4370 + number", "7 - index". Only + and - exist.
func ParseSum(text string) (Sum, error) {
	var sum Sum
	sign, wantValue := 1, true
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		if rest[0] == '+' || rest[0] == '-' {
			if wantValue && (rest[0] == '+' || rest != strings.TrimSpace(text)) {
				return Sum{}, fmt.Errorf("%q: a number or a name is missing before %q", text, rest)
			}
			sign, wantValue = 1, true
			if rest[0] == '-' {
				sign = -1
			}
			rest = rest[1:]
			continue
		}
		word := rest
		if end := strings.IndexAny(rest, "+- \t"); end >= 0 {
			word = rest[:end]
		}
		if !wantValue {
			return Sum{}, fmt.Errorf("%q: + or - is missing before %q", text, word)
		}
		if err := sum.addWord(sign, word); err != nil {
			return Sum{}, fmt.Errorf("%q: %w", text, err)
		}
		wantValue = false
		rest = rest[len(word):]
	}
	if wantValue {
		return Sum{}, fmt.Errorf("%q: a number or a name is missing at the end", text)
	}
	return sum, nil
}

func (s *Sum) addWord(sign int, word string) error {
	if n, err := strconv.Atoi(word); err == nil {
		s.Const += sign * n
		return nil
	}
	if !listenerName().MatchString(word) {
		return fmt.Errorf("%q is neither a number nor a name", word)
	}
	s.Terms = append(s.Terms, Term{sign, word})
	return nil
}

// DeriveOrder gives the positions of the listeners so that each stands after those that it is derived from, and the
// sums by position (the zero Sum for declared ones). The error names the listener: a bad expression, an unknown name,
// or a circle.
func DeriveOrder(listeners []Listener) (order []int, sums []Sum, err error) {
	byName := make(map[string]int, len(listeners))
	for i, l := range listeners {
		byName[l.Name] = i
	}
	sums = make([]Sum, len(listeners))
	state := make([]byte, len(listeners)) // 0 new, 1 being visited, 2 done
	var visit func(i int) error
	visit = func(i int) error {
		l := listeners[i]
		switch state[i] {
		case 2:
			return nil
		case 1:
			return fmt.Errorf("listener %q: derive %q goes in a circle", l.Name, l.Derive)
		}
		state[i] = 1
		if l.Derive != "" {
			if sums[i], err = ParseSum(l.Derive); err != nil {
				return fmt.Errorf("listener %q: derive %w", l.Name, err)
			}
			for _, term := range sums[i].Terms {
				if term.Name == "number" || term.Name == "index" {
					continue
				}
				j, ok := byName[term.Name]
				if !ok {
					return fmt.Errorf("listener %q: derive %q: no listener is called %q; number and index are known too", l.Name, l.Derive, term.Name)
				}
				if err := visit(j); err != nil {
					return err
				}
			}
		}
		state[i] = 2
		order = append(order, i)
		return nil
	}
	for i := range listeners {
		if err := visit(i); err != nil {
			return nil, nil, err
		}
	}
	return order, sums, nil
}
