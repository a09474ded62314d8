//go:build !wasip1

package aggregate

func export(Handler) {}
