# plot.awk: lines of "way percent tps hit_ratio" to an SVG of two plots.

function x(i) { return left + (i - 1) * width / 4 }
function curve(way, what, max, top, colour,    i, d) {
	d = ""
	for (i = 1; i <= 5; i++)
		d = d sprintf("%s%.1f,%.1f", i > 1 ? " " : "", x(i),
			top + height - height * value[way, rates[i], what] / max)
	printf "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n", d, colour
	for (i = 1; i <= 5; i++)
		printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", x(i),
			top + height - height * value[way, rates[i], what] / max, colour
}
function frame(title, max, unit, top,    i) {
	printf "<text x=\"%d\" y=\"%d\" font-weight=\"bold\">%s</text>\n", left, top - 12, title
	for (i = 0; i <= 4; i++) {
		y = top + height - height * i / 4
		printf "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", left, y, left + width, y
		printf "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", left - 8, y + 4, sprintf(unit, max * i / 4)
	}
	for (i = 1; i <= 5; i++)
		printf "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s %%</text>\n", x(i), top + height + 18, rates[i]
}
function legend(n, colour, text) {
	printf "<rect x=\"%d\" y=\"%d\" width=\"14\" height=\"3\" fill=\"%s\"/>", left + (n - 1) * 150, 12, colour
	printf "<text x=\"%d\" y=\"18\">%s</text>\n", left + (n - 1) * 150 + 20, text
}
{
	value[$1, $2, "tps"] = $3
	value[$1, $2, "hit"] = $4
	if ($3 > most) most = $3
}
END {
	split("0 1 5 20 50", rates, " ")
	left = 70; width = 480; height = 180
	step = 10 ^ int(log(most) / log(10))
	most = (int(most / step) + 1) * step
	print "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"580\" height=\"560\" font-family=\"sans-serif\" font-size=\"12\">"
	print "<rect width=\"580\" height=\"560\" fill=\"white\"/>"
	legend(1, "#888", "uncached"); legend(2, "#d62728", "table-wide"); legend(3, "#1f77b4", "by key")
	frame("Statements per second, by share of writes", most, "%d", 60)
	curve("direct", "tps", most, 60, "#888")
	curve("wide", "tps", most, 60, "#d62728")
	curve("keyed", "tps", most, 60, "#1f77b4")
	frame("Hit ratio of the reads", 1, "%.2f", 330)
	curve("wide", "hit", 1, 330, "#d62728")
	curve("keyed", "hit", 1, 330, "#1f77b4")
	print "</svg>"
}
