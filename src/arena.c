/*-------------------------------------------------------------------------
 *
 * arena.c
 *	  Page and slot allocator over one stretch of shared memory.
 *
 * The memory is an array of pages.  A page is free or belongs to one size
 * class, which cuts it into equal slots.  A page whose last slot is given
 * back is free again at once and can serve any other class, so nothing is
 * ever lost to external fragmentation; what may be lost is the rest of
 * half-empty pages, and evict.c can empty those (ck_arena_sparse_page()).
 *
 * The sizes are 8192/n, in steps of at least 4 %.  Their gaps are wide at
 * the upper end, so an item is cut into several pieces there: what fits
 * wholly, then the remainder again (ck_arena_choose()).
 *
 *		+--------+------------+--------+--------+-- - - --+
 *		| header | page table | page 0 | page 1 |   ...   |
 *		+--------+------------+--------+--------+-- - - --+
 *		^ ck_arena_base: offset zero, never a slot
 *
 * Locking: one LWLock, taken by the callers with ck_arena_lock(), guards the
 * page table, the lists, and the CkPiece header of every slot; evict.c keeps
 * its queues under the same lock.  The contents of a slot behind the piece
 * header belong to whoever owns the item.  Geometry (the number of pages, the
 * classes' sizes) never changes and is read without the lock.
 *
 * ck_arena_valid() and ck_arena_class_of() may be called without the lock,
 * with any offset whatsoever: they read at most one byte of the page table
 * and never leave the segment.  Their answer may be out of date, as the
 * lock-free reader in table.c knows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "segment.h"
#include "arena.h"

#define ARENA_MAGIC		0x436b4172
#define NO_CLASS		0xFF	/* of a free page */
#define NO_PAGE			0		/* page numbers in links are one higher */
#define SPLIT_GAIN		32		/* bytes to save to be worth another piece */
#define SPARSE_LOOK		8		/* pages to compare in ck_arena_sparse_page() */

/* An entry of the page table: 16 bytes. */
typedef struct CkSharedPage
{
	uint32		next;			/* in the free list, or in the class's list of
								 * partly free pages */
	uint32		prev;			/* in the latter only */
	uint16		first_free;		/* free slot: units from the page's start, plus
								 * one; zero: none */
	uint8		cls;
	uint8		nfree;
	uint32		unused;
} CkSharedPage;

typedef struct CkSharedClass
{
	/* never change */
	uint32		slot_size;
	uint32		nslots;			/* in a page */

	/* under the lock */
	uint32		partial;		/* pages with both used and free slots */
	uint32		npages;
	uint32		nfree;			/* free slots in these pages */
} CkSharedClass;

typedef struct CkSharedArena
{
	uint32		magic;

	/* never change */
	uint32		npages;
	uint32		nclasses;
	Size		pages_start;	/* bytes from ck_arena_base */
	Size		pages_end;

	/* under the lock */
	LWLock		lock;
	uint32		free_pages;		/* head of the list */
	uint32		nfree_pages;
	CkSharedClass classes[CK_MAX_CLASSES];
} CkSharedArena;

char	   *ck_arena_base = NULL;

/*---- Links to shared memory ----*/
static CkSharedArena *arena = NULL;
static CkSharedPage *arena_pages = NULL;

/* Smallest class that holds so many units; derived from the geometry. */
static uint8 class_of_units[CK_PAGE_SIZE / CK_OFF_UNIT + 1];

/*
 * Fill the table of classes, largest first.
 */
static void
make_classes(void)
{
	uint32		previous = 2 * CK_PAGE_SIZE;
	uint32		n;

	arena->nclasses = 0;
	for (n = 1; n <= CK_PAGE_SIZE / CK_MIN_SLOT; n++)
	{
		uint32		size = CK_PAGE_SIZE / n / CK_OFF_UNIT * CK_OFF_UNIT;
		CkSharedClass *c;

		if (previous - size < Max(CK_OFF_UNIT, previous / 25) &&
			size != CK_MIN_SLOT)
			continue;
		if (size == previous)
			continue;
		Assert(arena->nclasses < CK_MAX_CLASSES);
		c = &arena->classes[arena->nclasses++];
		c->slot_size = size;
		c->nslots = CK_PAGE_SIZE / size;
		previous = size;
	}
}

/*
 * Lay out the arena in [ptr, ptr + size), which is zeroed.  ptr must be
 * aligned to a cache line, size be enough for a dozen pages.
 */
void
ck_arena_init(void *ptr, Size size)
{
	Size		header = TYPEALIGN(PG_CACHE_LINE_SIZE, sizeof(CkSharedArena));
	uint32		npages;
	uint32		i;

	Assert(size > header + 12 * CK_PAGE_SIZE);
	size = Min(size, (Size) PG_UINT32_MAX * CK_OFF_UNIT);
	npages = (size - header - PG_CACHE_LINE_SIZE) /
		(CK_PAGE_SIZE + sizeof(CkSharedPage));

	arena = (CkSharedArena *) ptr;
	arena_pages = (CkSharedPage *) ((char *) ptr + header);
	arena->magic = ARENA_MAGIC;
	arena->npages = npages;
	arena->pages_start = TYPEALIGN(PG_CACHE_LINE_SIZE,
								   header + npages * sizeof(CkSharedPage));
	arena->pages_end = arena->pages_start + (Size) npages * CK_PAGE_SIZE;
	Assert(arena->pages_end <= size);
	LWLockInitialize(&arena->lock, ck_segment_tranche(CK_TRANCHE_ARENA));
	make_classes();

	/* low pages first, so that a small load stays together */
	for (i = 0; i < npages; i++)
	{
		arena_pages[i].cls = NO_CLASS;
		arena_pages[i].next = (i + 1 < npages) ? i + 2 : NO_PAGE;
	}
	arena->free_pages = 1;
	arena->nfree_pages = npages;
}

/*
 * Find the arena that another process, or this one, has made at ptr.
 */
void
ck_arena_attach(void *ptr)
{
	uint32		units;
	int			cls;

	arena = (CkSharedArena *) ptr;
	Assert(arena->magic == ARENA_MAGIC);
	arena_pages = (CkSharedPage *)
		((char *) ptr + TYPEALIGN(PG_CACHE_LINE_SIZE, sizeof(CkSharedArena)));
	ck_arena_base = (char *) ptr;

	cls = arena->nclasses - 1;
	for (units = 0; units < lengthof(class_of_units); units++)
	{
		while (arena->classes[cls].slot_size < units * CK_OFF_UNIT)
			cls--;
		class_of_units[units] = cls;
	}
}

/*
 * Bytes in pages.
 */
uint64
ck_arena_capacity(void)
{
	return (uint64) arena->npages * CK_PAGE_SIZE;
}

void
ck_arena_lock(void)
{
	LWLockAcquire(&arena->lock, LW_EXCLUSIVE);
}

void
ck_arena_unlock(void)
{
	LWLockRelease(&arena->lock);
}

bool
ck_arena_locked(void)
{
	return LWLockHeldByMe(&arena->lock);
}

int
ck_arena_nclasses(void)
{
	return arena->nclasses;
}

uint32
ck_arena_slot_size(int cls)
{
	return arena->classes[cls].slot_size;
}

/*
 * Smallest class whose slots hold `bytes`, at most CK_PAGE_SIZE.
 */
static int
class_above(uint32 bytes)
{
	return class_of_units[(bytes + CK_OFF_UNIT - 1) / CK_OFF_UNIT];
}

/*
 * Choose the class of the next piece of an item.  `need` bytes are still to
 * be placed, piece header included, the first `flat` of them in this very
 * piece; `total` is the size of the whole item.
 *
 * The last piece is rounded up to its slot when that wastes no more than a
 * sixteenth of the item, or when cutting it once more would not save enough.
 * The answer may be smaller than need, then there is another piece to come,
 * with a header of its own.
 */
int
ck_arena_choose(uint32 need, uint32 flat, uint32 total)
{
	int			above;
	int			below;
	uint32		waste;
	uint32		rest;
	uint32		split_waste;

	Assert(flat <= need && flat <= CK_PAGE_SIZE);
	if (need > CK_PAGE_SIZE)
		return 0;

	above = class_above(need);
	waste = arena->classes[above].slot_size - need;
	if (waste <= total / 16 || above + 1 >= arena->nclasses)
		return above;

	below = above + 1;
	if (arena->classes[below].slot_size < flat)
		return above;
	rest = need - arena->classes[below].slot_size + sizeof(CkPiece);
	split_waste = arena->classes[class_above(rest)].slot_size - rest +
		sizeof(CkPiece);
	return (split_waste + SPLIT_GAIN < waste) ? below : above;
}

static char *
page_start(uint32 page)
{
	return ck_arena_base + arena->pages_start + (Size) page * CK_PAGE_SIZE;
}

/*
 * Put a page into its class's list of partly free pages.
 */
static void
push_partial(uint32 page)
{
	CkSharedClass *c = &arena->classes[arena_pages[page].cls];

	arena_pages[page].prev = NO_PAGE;
	arena_pages[page].next = c->partial;
	if (c->partial != NO_PAGE)
		arena_pages[c->partial - 1].prev = page + 1;
	c->partial = page + 1;
}

static void
remove_partial(uint32 page)
{
	CkSharedPage *p = &arena_pages[page];

	if (p->prev != NO_PAGE)
		arena_pages[p->prev - 1].next = p->next;
	else
		arena->classes[p->cls].partial = p->next;
	if (p->next != NO_PAGE)
		arena_pages[p->next - 1].prev = p->prev;
	p->next = p->prev = NO_PAGE;
}

/*
 * Take a free page for a class and cut it into slots.  False: none is left.
 */
static bool
open_page(int cls)
{
	CkSharedClass *c = &arena->classes[cls];
	uint32		units = c->slot_size / CK_OFF_UNIT;
	uint32		page;
	CkSharedPage *p;
	uint32		i;

	if (arena->free_pages == NO_PAGE)
		return false;
	page = arena->free_pages - 1;
	p = &arena_pages[page];
	Assert(p->cls == NO_CLASS);
	arena->free_pages = p->next;
	arena->nfree_pages--;

	for (i = 0; i < c->nslots; i++)
	{
		CkPiece    *piece = (CkPiece *) (page_start(page) + i * c->slot_size);

		piece->owner = CK_OFF_NONE;
		piece->next = (i + 1 < c->nslots) ? (i + 1) * units + 1 : 0;
	}
	p->cls = cls;
	p->nfree = c->nslots;
	p->first_free = 1;
	c->npages++;
	c->nfree += c->nslots;
	push_partial(page);
	return true;
}

/*
 * A page whose slots are all free goes back to everybody.
 */
static void
close_page(uint32 page)
{
	CkSharedPage *p = &arena_pages[page];
	CkSharedClass *c = &arena->classes[p->cls];

	Assert(p->nfree == c->nslots);
	remove_partial(page);
	c->npages--;
	c->nfree -= c->nslots;
	p->cls = NO_CLASS;
	p->nfree = 0;
	p->first_free = 0;
	p->next = arena->free_pages;
	arena->free_pages = page + 1;
	arena->nfree_pages++;
}

/*
 * Would ck_arena_take() find a slot?  Under the lock.
 */
bool
ck_arena_can_take(int cls)
{
	return arena->classes[cls].partial != NO_PAGE ||
		arena->free_pages != NO_PAGE;
}

/*
 * Take a slot of a page that has one free.
 */
static CkOff
take_from_page(uint32 page)
{
	CkSharedPage *p = &arena_pages[page];
	CkSharedClass *c = &arena->classes[p->cls];
	CkPiece    *piece;

	Assert(p->nfree > 0 && p->first_free != 0);
	piece = (CkPiece *) (page_start(page) + (p->first_free - 1) * CK_OFF_UNIT);
	Assert(piece->owner == CK_OFF_NONE);
	p->first_free = piece->next;
	p->nfree--;
	c->nfree--;
	if (p->nfree == 0)
		remove_partial(page);
	piece->next = CK_OFF_NONE;
	return ck_arena_off(piece);
}

/*
 * Take a slot of a class.  CK_OFF_NONE: there is none, and no free page.
 * The caller sets the owner of the piece before it lets go of the lock.
 */
CkOff
ck_arena_take(int cls)
{
	CkSharedClass *c = &arena->classes[cls];

	Assert(ck_arena_locked());
	if (c->partial == NO_PAGE && !open_page(cls))
		return CK_OFF_NONE;
	Assert(arena_pages[c->partial - 1].cls == cls);
	return take_from_page(c->partial - 1);
}

/*
 * Take a slot of the class of a page, but not of that page, and not of a page
 * that is free as yet.  CK_OFF_NONE: there is none.
 */
CkOff
ck_arena_take_elsewhere(uint32 page)
{
	uint32		link = arena->classes[arena_pages[page].cls].partial;

	Assert(ck_arena_locked());
	if (link == page + 1)
		link = arena_pages[page].next;
	return link == NO_PAGE ? CK_OFF_NONE : take_from_page(link - 1);
}

/*
 * Give a slot back.  Under the lock.
 */
void
ck_arena_give(CkOff off)
{
	CkPiece    *piece = ck_arena_ptr(off);
	uint32		page = ck_arena_page_of(off);
	CkSharedPage *p = &arena_pages[page];
	CkSharedClass *c = &arena->classes[p->cls];

	Assert(ck_arena_locked());
	Assert(piece->owner != CK_OFF_NONE);
	Assert(((char *) piece - page_start(page)) % c->slot_size == 0);

#ifdef USE_ASSERT_CHECKING
	/* whoever still looks at it shall see nonsense */
	memset(piece, 0x7f, c->slot_size);
#endif
	piece->owner = CK_OFF_NONE;
	piece->next = p->first_free;
	p->first_free = ((char *) piece - page_start(page)) / CK_OFF_UNIT + 1;
	p->nfree++;
	c->nfree++;
	if (p->nfree == 1)
		push_partial(page);
	if (p->nfree == c->nslots)
		close_page(page);
}

/*
 * Give back all pieces of an item.  Under the lock.
 */
void
ck_arena_give_chain(CkOff head)
{
	CkOff		off = head;

	while (off != CK_OFF_NONE)
	{
		CkPiece    *piece = ck_arena_ptr(off);
		CkOff		next = piece->next;

		Assert(piece->owner == head);
		ck_arena_give(off);
		off = next;
	}
}

/*
 * Do [off, off + len bytes) lie within the pages?  No lock needed.
 */
bool
ck_arena_valid(CkOff off, Size len)
{
	Size		start = (Size) off * CK_OFF_UNIT;

	return start >= arena->pages_start && start + len <= arena->pages_end;
}

/*
 * The class of the page that off is in, which must be valid; -1: the page is
 * free.  No lock needed, but without it the answer may be out of date.
 */
int
ck_arena_class_of(CkOff off)
{
	uint8		cls;

	cls = *(volatile uint8 *) &arena_pages[ck_arena_page_of(off)].cls;
	return cls < arena->nclasses ? cls : -1;
}

uint32
ck_arena_page_of(CkOff off)
{
	return ((Size) off * CK_OFF_UNIT - arena->pages_start) / CK_PAGE_SIZE;
}

uint32
ck_arena_npages(void)
{
	return arena->npages;
}

/*
 * Number of slots of a page; 0: the page is free.
 */
int
ck_arena_page_nslots(uint32 page)
{
	uint8		cls = arena_pages[page].cls;

	return cls == NO_CLASS ? 0 : arena->classes[cls].nslots;
}

int
ck_arena_page_nfree(uint32 page)
{
	return arena_pages[page].nfree;
}

/*
 * The slot'th slot of a page that is not free; the slot may be.
 */
CkOff
ck_arena_page_slot(uint32 page, int slot)
{
	CkSharedClass *c = &arena->classes[arena_pages[page].cls];

	Assert(slot < c->nslots);
	return ck_arena_off(page_start(page) + slot * c->slot_size);
}

/*
 * Find a page worth emptying for its holes alone: its class, other than
 * `except`, has more than an eighth of its slots and two pages' worth free,
 * and a quarter of the page itself is.
 */
bool
ck_arena_sparse_page(int except, uint32 *page)
{
	int			cls;

	for (cls = 0; cls < arena->nclasses; cls++)
	{
		CkSharedClass *c = &arena->classes[cls];
		uint32		link;
		int			looked = 0;
		int			best = c->nslots / 4;

		if (cls == except || c->nfree < 2 * c->nslots ||
			c->nfree < c->npages * c->nslots / 8)
			continue;
		for (link = c->partial; link != NO_PAGE && looked < SPARSE_LOOK;
			 link = arena_pages[link - 1].next, looked++)
		{
			if (arena_pages[link - 1].nfree > best)
			{
				best = arena_pages[link - 1].nfree;
				*page = link - 1;
			}
		}
		if (best > c->nslots / 4)
			return true;
	}
	return false;
}

/*
 * How full it is.  Under the lock.
 */
void
ck_arena_use(CkArenaUse *use)
{
	int			cls;

	memset(use, 0, sizeof(*use));
	use->npages = arena->npages;
	use->nfree_pages = arena->nfree_pages;
	for (cls = 0; cls < arena->nclasses; cls++)
	{
		CkSharedClass *c = &arena->classes[cls];
		uint64		used = (uint64) c->npages * c->nslots - c->nfree;

		use->slots_used += used;
		use->bytes_used += used * c->slot_size;
	}
}

/*
 * Check the free list of one page against what the page table says.
 */
static const char *
check_page(uint32 page)
{
	CkSharedPage *p = &arena_pages[page];
	CkSharedClass *c = &arena->classes[p->cls];
	uint32		link = p->first_free;
	int			n = 0;

	while (link != 0)
	{
		CkPiece    *piece;

		if ((link - 1) * CK_OFF_UNIT % c->slot_size != 0 ||
			(link - 1) * CK_OFF_UNIT / c->slot_size >= c->nslots)
			return "arena: a page's free list leaves the page's slots";
		piece = (CkPiece *) (page_start(page) + (link - 1) * CK_OFF_UNIT);
		if (piece->owner != CK_OFF_NONE)
			return "arena: a slot in a page's free list has an owner";
		if (++n > c->nslots)
			return "arena: a page's free list is a circle";
		link = piece->next;
	}
	return n == p->nfree ? NULL :
		"arena: a page's free list has not as many slots as the page says";
}

static const char *
check_class(int cls)
{
	CkSharedClass *c = &arena->classes[cls];
	uint32		prev = NO_PAGE;
	uint32		link;
	uint32		nfree = 0;
	uint32		n = 0;

	for (link = c->partial; link != NO_PAGE;
		 prev = link, link = arena_pages[link - 1].next)
	{
		CkSharedPage *p = &arena_pages[link - 1];
		const char *problem;

		if (link > arena->npages || ++n > c->npages)
			return "arena: a class's page list is out of bounds or a circle";
		if (p->cls != cls || p->prev != prev)
			return "arena: a class's page list is wrongly linked";
		if (p->nfree == 0 || p->nfree >= c->nslots)
			return "arena: a full or free page is listed as partly free";
		if ((problem = check_page(link - 1)) != NULL)
			return problem;
		nfree += p->nfree;
	}
	return nfree == c->nfree ? NULL :
		"arena: a class has not as many free slots as it says";
}

/*
 * Verify every list and count; NULL or the first problem.  Under the lock.
 */
const char *
ck_arena_check(void)
{
	uint32		pages_of[CK_MAX_CLASSES] = {0};
	uint32		nfree = 0;
	uint32		link;
	uint32		i;

	for (link = arena->free_pages; link != NO_PAGE;
		 link = arena_pages[link - 1].next)
	{
		if (link > arena->npages || ++nfree > arena->npages)
			return "arena: the list of free pages is out of bounds or a circle";
		if (arena_pages[link - 1].cls != NO_CLASS)
			return "arena: a page in use is listed as free";
	}
	if (nfree != arena->nfree_pages)
		return "arena: the list of free pages has not as many as it says";

	for (i = 0; i < arena->npages; i++)
	{
		if (arena_pages[i].cls == NO_CLASS)
			nfree--;
		else if (arena_pages[i].cls >= arena->nclasses)
			return "arena: a page has an impossible class";
		else
			pages_of[arena_pages[i].cls]++;
	}
	if (nfree != 0)
		return "arena: a free page is in no list";

	for (i = 0; i < arena->nclasses; i++)
	{
		const char *problem = check_class(i);

		if (problem != NULL)
			return problem;
		if (pages_of[i] != arena->classes[i].npages)
			return "arena: a class has not as many pages as it says";
	}
	return NULL;
}
