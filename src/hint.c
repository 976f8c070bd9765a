/*-------------------------------------------------------------------------
 *
 * hint.c
 *	  Hints in comments: what the author of a query wants of the cache.
 *
 *	/ *+ cachekit * / SELECT ...			(without the blanks)
 *	/ *+ cachekit(ttl=60s, tags=a b, swr=10s, keep_warm) * / SELECT ...
 *	/ *+ nocache * / SELECT ...				also cachekit(nocache)
 *
 * A hint counts in front of the query, that is, of the first SELECT, WITH,
 * VALUES or TABLE of the statement, which may be inside of EXPLAIN, PREPARE,
 * DECLARE or COPY; parentheses and other comments may stand between, and a
 * comment before such a command counts, too.  PL/pgSQL cuts its statements out
 * from their first word on, so in queries that did not come from the client as
 * they are (`inner`) a hint may also follow this word.
 *
 * What is wrong in a hint is a warning, and the rest of it counts: a hint must
 * not break a query.  Other hints (pg_hint_plan's) are not our business, nor
 * are comments of other forms.
 *
 * The scanner knows just enough of SQL's lexical rules not to take a word in a
 * string, a quoted name or a comment for a keyword.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <math.h>

#include "parser/parser.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "args.h"
#include "hint.h"

#define MAX_MILLISECONDS	(100.0 * 366 * SECS_PER_DAY * 1000)

typedef struct Scanner
{
	const char *p;
	const char *end;
} Scanner;

/* ---------------- the statement ---------------- */

/* Skip a comment that begins here; it may have others inside. */
static void
skip_block_comment(Scanner *s)
{
	int			depth = 0;

	while (s->p + 1 < s->end)
	{
		if (s->p[0] == '/' && s->p[1] == '*')
		{
			depth++;
			s->p += 2;
		}
		else if (s->p[0] == '*' && s->p[1] == '/')
		{
			s->p += 2;
			if (--depth == 0)
				return;
		}
		else
			s->p++;
	}
	s->p = s->end;
}

static void
skip_line(Scanner *s)
{
	while (s->p < s->end && *s->p != '\n' && *s->p != '\r')
		s->p++;
}

static void
skip_quoted(Scanner *s)
{
	char		quote = *s->p++;

	while (s->p < s->end && *s->p != quote)
		s->p++;
	if (s->p < s->end)
		s->p++;					/* a doubled quote begins another string */
}

static bool
is_word(char c)
{
	return isalnum((unsigned char) c) || c == '_' || c == '$' || IS_HIGHBIT_SET(c);
}

static bool
same_word(const char *word, int len, const char *keyword)
{
	return strlen(keyword) == len && pg_strncasecmp(word, keyword, len) == 0;
}

/* Does a query begin with the word?  CURSOR WITH HOLD does not make one. */
static bool
begins_query(const char *word, int len, const Scanner *after)
{
	const char *p = after->p;

	if (same_word(word, len, "select") || same_word(word, len, "values") ||
		same_word(word, len, "table"))
		return true;
	if (!same_word(word, len, "with"))
		return false;
	while (p < after->end && isspace((unsigned char) *p))
		p++;
	return after->end - p < 4 || pg_strncasecmp(p, "hold", 4) != 0 ||
		(after->end - p > 4 && is_word(p[4]));
}

static bool
is_hint_comment(const Scanner *s)
{
	return s->end - s->p >= 3 && memcmp(s->p, "/*+", 3) == 0;
}

/* Blanks and comments; a hint's comment is kept in *hint. */
static void
skip_space(Scanner *s, Scanner *hint)
{
	while (s->p < s->end)
	{
		Scanner		comment = *s;

		if (isspace((unsigned char) *s->p))
			s->p++;
		else if (s->end - s->p >= 2 && s->p[0] == '-' && s->p[1] == '-')
			skip_line(s);
		else if (s->end - s->p >= 2 && s->p[0] == '/' && s->p[1] == '*')
		{
			skip_block_comment(s);
			if (is_hint_comment(&comment))
			{
				hint->p = comment.p + 3;
				hint->end = s->p - 2;
			}
		}
		else
			return;
	}
}

/*
 * Find the comment that counts; false: there is none.
 */
static bool
find_comment(Scanner *s, bool inner, Scanner *hint)
{
	Scanner		leading = {NULL, NULL};
	const char *first;

	hint->p = NULL;
	skip_space(s, &leading);
	first = s->p;
	while (s->p < s->end)
	{
		if (*s->p == '\'' || *s->p == '"')
			skip_quoted(s);
		else if (is_word(*s->p))
		{
			const char *word = s->p;

			while (s->p < s->end && is_word(*s->p))
				s->p++;
			if (begins_query(word, s->p - word, s))
			{
				inner = inner && word == first;
				break;
			}
			hint->p = NULL;		/* it stood in front of something else */
		}
		else if (*s->p++ != '(')
			hint->p = NULL;
		skip_space(s, hint);
	}
	if (hint->p == NULL)
		*hint = leading;
	if (hint->p == NULL && inner)
		skip_space(s, hint);
	return hint->p != NULL;
}

/* Skip a string in dollars that begins here; anything else is one character. */
static void
skip_dollars(Scanner *s)
{
	const char *tag = s->p++;
	Size		len;

	while (s->p < s->end && is_word(*s->p) && *s->p != '$')
		s->p++;
	if (s->p == s->end || *s->p != '$')
		return;
	len = ++s->p - tag;
	while (s->end - s->p >= len && memcmp(s->p, tag, len) != 0)
		s->p++;
	s->p = s->end - s->p >= len ? s->p + len : s->end;
}

/* Skip a string, with or without escapes, that begins here. */
static void
skip_string(Scanner *s, bool escapes)
{
	for (s->p++; s->p < s->end && *s->p != '\''; s->p++)
		if (escapes && *s->p == '\\')
			s->p++;
	s->p = Min(s->p + 1, s->end);
}

/*
 * Where a statement begins with the comments in front of it, given where its
 * first word is: behind the semicolon before it, or with the text.
 */
int
ck_hint_statement_start(const char *text, int first_word)
{
	Scanner		s = {text, text + first_word};
	Scanner		ignored;
	const char *start = text;
	bool		escapes = !standard_conforming_strings;

	while (s.p < s.end)
	{
		char		c = *s.p;

		if (c == '\'')
			skip_string(&s, escapes);
		else if (c == '"')
			skip_quoted(&s);
		else if (c == '$')
			skip_dollars(&s);
		else if (is_word(c))
		{
			const char *word = s.p;

			while (s.p < s.end && is_word(*s.p))
				s.p++;
			escapes = !standard_conforming_strings ||
				same_word(word, s.p - word, "e");
			continue;
		}
		else if (c == ';')
			start = ++s.p;
		else if (!isspace((unsigned char) c) && c != '-' && c != '/')
			s.p++;
		else
		{
			skip_space(&s, &ignored);
			if (s.p < s.end && (*s.p == '-' || *s.p == '/'))
				s.p++;
		}
		escapes = !standard_conforming_strings;
	}
	return start - text;
}

/* ---------------- the hint ---------------- */

static void
warn(const char *what, const char *value, int len)
{
	ereport(WARNING,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s in hint \"cachekit\": \"%.*s\"", what, len, value),
			 errhint("Options are ttl=INTERVAL, tags=NAME NAME ..., swr=INTERVAL, keep_warm and nocache; intervals are written as 500ms, 60s, 5min, 1h or 1d.")));
}

/* "60s" as microseconds. */
static bool
parse_interval(const char *value, int len, int64 *result)
{
	char	   *string = pnstrdup(value, len);
	double		ms;
	bool		ok = parse_real(string, &ms, GUC_UNIT_MS, NULL) && !isnan(ms) &&
		ms >= 0;

	pfree(string);
	if (ok)
		*result = (int64) (Min(ms, MAX_MILLISECONDS) * 1000);
	return ok;
}

static void
parse_tags(Scanner value, CkHint *hint)
{
	while (value.p < value.end)
	{
		const char *tag;

		while (value.p < value.end && isspace((unsigned char) *value.p))
			value.p++;
		tag = value.p;
		while (value.p < value.end && !isspace((unsigned char) *value.p))
			value.p++;
		if (value.p == tag)
			break;
		if (value.p - tag > CK_MAX_TAG_LEN)
			warn("tag is too long", tag, value.p - tag);
		else if (list_length(hint->tags) >= CK_MAX_TAGS)
			warn("too many tags", tag, value.p - tag);
		else
			hint->tags = lappend(hint->tags, pnstrdup(tag, value.p - tag));
	}
}

static void
trim(Scanner *s)
{
	while (s->p < s->end && isspace((unsigned char) *s->p))
		s->p++;
	while (s->end > s->p && isspace((unsigned char) s->end[-1]))
		s->end--;
}

/* One of the options, between commas. */
static void
parse_option(Scanner option, CkHint *hint)
{
	Scanner		name = option;
	Scanner		value = {option.end, option.end};
	const char *equals = memchr(option.p, '=', option.end - option.p);
	int64		interval;
	int			len;

	if (equals)
	{
		name.end = equals;
		value.p = equals + 1;
	}
	trim(&name);
	trim(&value);
	trim(&option);
	len = name.end - name.p;
	if (option.p == option.end)
		return;
	if (same_word(name.p, len, "nocache") && !equals)
		hint->nocache = true;
	else if (same_word(name.p, len, "keep_warm") && !equals)
		hint->keep_warm = true;
	else if (same_word(name.p, len, "tags") && equals)
		parse_tags(value, hint);
	else if (!same_word(name.p, len, "ttl") && !same_word(name.p, len, "swr"))
		warn("unknown option", option.p, option.end - option.p);
	else if (!equals || !parse_interval(value.p, value.end - value.p, &interval))
		warn("invalid interval", option.p, option.end - option.p);
	else if (same_word(name.p, len, "ttl"))
	{
		hint->has_ttl = true;
		hint->ttl = interval;
	}
	else
		hint->swr = interval;
}

static void
parse_options(Scanner s, CkHint *hint)
{
	while (s.p < s.end)
	{
		Scanner		option = {s.p, memchr(s.p, ',', s.end - s.p)};

		if (option.end == NULL)
			option.end = s.end;
		parse_option(option, hint);
		s.p = option.end + 1;
	}
}

/* What is in the comment; false: nothing for us. */
static bool
parse_hint(Scanner s, CkHint *hint)
{
	Scanner		word;

	trim(&s);
	word = s;
	while (s.p < s.end && is_word(*s.p))
		s.p++;
	word.end = s.p;
	if (same_word(word.p, word.end - word.p, "nocache"))
	{
		hint->nocache = true;
		return true;
	}
	if (!same_word(word.p, word.end - word.p, "cachekit"))
		return false;
	trim(&s);
	if (s.p == s.end)
		return true;
	if (*s.p != '(' || s.end[-1] != ')')
	{
		warn("unexpected text", s.p, s.end - s.p);
		return true;
	}
	s.p++;
	s.end--;
	parse_options(s, hint);
	return true;
}

/*
 * Is there a hint for us in the statement?  `len` in bytes.  Fills *hint, with
 * lists in the current memory context.  Warns, never fails.
 */
bool
ck_hint_find(const char *text, int len, bool inner, CkHint *hint)
{
	Scanner		s = {text, text + len};
	Scanner		comment;

	memset(hint, 0, sizeof(*hint));
	if (!find_comment(&s, inner, &comment))
		return false;
	return parse_hint(comment, hint);
}
