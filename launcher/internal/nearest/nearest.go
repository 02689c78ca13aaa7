// Package nearest finds the known word that somebody meant who wrote another one: for "did you mean" in errors. It is pure.
package nearest

import "strings"

// Word returns the known word that is the nearest to what was written, and whether one is near enough to be meant: the same but
// for upper case, the only one that begins so, or one with a letter or two more, less, wrong or exchanged with its neighbour.
func Word(written string, known []string) (string, bool) {
	best, least, begins := "", allowed(written)+1, []string{}
	for _, k := range known {
		d := distance(strings.ToLower(written), strings.ToLower(k))
		if d < least || d == least && best != "" && len(k) > len(best) { // of two that are as near, the longer one: letters are left out
			best, least = k, d
		}
		if len(written) > 1 && strings.HasPrefix(strings.ToLower(k), strings.ToLower(written)) {
			begins = append(begins, k)
		}
	}
	if best == "" && len(begins) == 1 {
		best = begins[0]
	}
	return best, best != ""
}

// Hint is "did you mean …?" with the nearest word in the form that quote gives it; "" where none is near enough.
func Hint(written string, known []string, quote func(string) string) string {
	if word, ok := Word(written, known); ok {
		return "did you mean " + quote(word) + "?"
	}
	return ""
}

// allowed is by how many letters a word may differ: short ones are soon another word.
func allowed(word string) int {
	switch n := len([]rune(word)); {
	case n < 2:
		return 0
	case n < 6:
		return 1
	}
	return 2
}

// distance is how many letters must be added, taken out, changed or exchanged with their neighbour to make b of a.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	row := make([][]int, len(x)+1)
	for i := range row {
		row[i] = make([]int, len(y)+1)
		row[i][0] = i
	}
	for j := range row[0] {
		row[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			change := 1
			if x[i-1] == y[j-1] {
				change = 0
			}
			row[i][j] = min(row[i-1][j]+1, row[i][j-1]+1, row[i-1][j-1]+change)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[i][j] = min(row[i][j], row[i-2][j-2]+1)
			}
		}
	}
	return row[len(x)][len(y)]
}
