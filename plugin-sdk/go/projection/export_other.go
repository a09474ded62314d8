//go:build !wasip1

package projection

func export(Projection) {}
