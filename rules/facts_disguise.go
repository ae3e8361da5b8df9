package rules

// leastWords is how many words a text must have before a share of them says
// anything.
const leastWords = 8

// brokenWords is the share of the words with other characters inside.
func brokenWords(m *evidence) (float64, bool) {
	p := m.Message.Spelling()
	return float64(p.Broken) / float64(max(1, p.Words)), p.Words >= leastWords
}

// leetWords is the share of the words in which digits stand for letters.
func leetWords(m *evidence) (float64, bool) {
	p := m.Message.Spelling()
	return float64(p.Leet) / float64(max(1, p.Words)), p.Words >= leastWords
}

// wordLength is the mean length of the words that are letters alone, in Latin,
// Greek and Cyrillic. Words with a space inside make it small.
func wordLength(m *evidence) (float64, bool) {
	p := m.Message.Spelling()
	return float64(p.Length) / float64(max(1, p.Plain)), p.Plain >= 4*leastWords
}

// singleLetters is the share of these words that are one letter.
func singleLetters(m *evidence) (float64, bool) {
	p := m.Message.Spelling()
	return float64(p.Single) / float64(max(1, p.Plain)), p.Plain >= 4*leastWords
}
