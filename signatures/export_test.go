package signatures

// Prices tells whether a kind of mark has a symbol.
func Prices(mark string) bool { return symbolOf[mark] != "" }
