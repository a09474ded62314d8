//go:build !wasip1

package upcaster

func export(Upcaster) {}
