/*-------------------------------------------------------------------------
 *
 * admission.c
 *	  Which results are worth storing, when nobody has asked for them.
 *
 * Mode auto must not fill the cache with what is asked for once, nor spend
 * time on what is stored in vain: too large, or made stale by a write before
 * anybody could use it.  So a result is stored when its key is seen for the
 * second time, the first having taken long enough; and after a fill in vain
 * the key is passed over for a while, twice as long each time.
 *
 * Memory: a fixed array of words, one for each of the keys that hash to it, the
 * latest.  A word has the upper bits of the key's hash, so that keys are seldom
 * taken for each other; if they are, or if one is forgotten because another
 * took its word, a result is stored a little sooner or later.
 *
 * Locking: none.  Words are read and written atomically; of two sessions that
 * change one at the same time, one may be lost.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/atomics.h"

#include "admission.h"

#define BYTES_PER_WORD	8192	/* of the budget */
#define MIN_WORDS		256

/* A word: 44 bits of the hash, the level of back-off, the turns to pass over */
#define SKIP_BITS		16
#define SKIP_MASK		((UINT64CONST(1) << SKIP_BITS) - 1)
#define LEVEL_MASK		UINT64CONST(15)
#define HASH_MASK		(~((UINT64CONST(1) << (SKIP_BITS + 4)) - 1))
#define MAX_LEVEL		12

typedef struct CkSharedAdmission
{
	uint32		nwords;			/* a power of two */
	uint32		pad;
	pg_atomic_uint64 words[FLEXIBLE_ARRAY_MEMBER];
} CkSharedAdmission;

static CkSharedAdmission *admission = NULL;

static uint32
words_for(Size budget)
{
	uint32		n = MIN_WORDS;

	while (n < 1024 * 1024 && (Size) n * 2 * BYTES_PER_WORD <= budget)
		n *= 2;
	return n;
}

Size
ck_admission_size(Size budget)
{
	return offsetof(CkSharedAdmission, words) +
		words_for(budget) * sizeof(pg_atomic_uint64);
}

void
ck_admission_init(void *ptr, Size size, Size budget)
{
	CkSharedAdmission *shared = ptr;

	shared->nwords = words_for(budget);
	for (uint32 i = 0; i < shared->nwords; i++)
		pg_atomic_init_u64(&shared->words[i], 0);
}

void
ck_admission_attach(void *ptr, Size size)
{
	admission = ptr;
}

/* The key's word, and what is in it: 0 if that is of another key. */
static pg_atomic_uint64 *
word_of(uint64 hash, uint64 *value)
{
	pg_atomic_uint64 *word = &admission->words[hash & (admission->nwords - 1)];

	*value = pg_atomic_read_u64(word);
	if ((*value & HASH_MASK) != (hash & HASH_MASK))
		*value = 0;
	return word;
}

static void
set_word(pg_atomic_uint64 *word, uint64 hash, uint64 level, uint64 skip)
{
	pg_atomic_write_u64(word, (hash & HASH_MASK) | (level << SKIP_BITS) | skip);
}

static uint64
level_of(uint64 value)
{
	return (value >> SKIP_BITS) & LEVEL_MASK;
}

/*
 * What is to be done with the key's result, if it is not there?  Counts a turn
 * of those that are passed over.  The segment must be attached.
 */
CkAdmission
ck_admission_ask(uint64 hash)
{
	uint64		value;
	pg_atomic_uint64 *word = word_of(hash, &value);

	if (value == 0)
		return CK_ADMIT_WATCH;
	if ((value & SKIP_MASK) == 0)
		return CK_ADMIT_STORE;
	set_word(word, hash, level_of(value), (value & SKIP_MASK) - 1);
	return CK_ADMIT_SKIP;
}

/* The key's result took long enough to be worth storing the next time. */
void
ck_admission_worthy(uint64 hash)
{
	uint64		value;
	pg_atomic_uint64 *word = word_of(hash, &value);

	if (value == 0)
		set_word(word, hash, 0, 0);
}

/* A fill was of no use. */
void
ck_admission_in_vain(uint64 hash)
{
	uint64		value;
	pg_atomic_uint64 *word = word_of(hash, &value);
	uint64		level = Min(level_of(value) + 1, MAX_LEVEL);

	set_word(word, hash, level, UINT64CONST(1) << level);
}

/* What was stored has been used. */
void
ck_admission_useful(uint64 hash)
{
	uint64		value;
	pg_atomic_uint64 *word = word_of(hash, &value);

	if (level_of(value) != 0)
		set_word(word, hash, 0, 0);
}
