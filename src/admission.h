/*-------------------------------------------------------------------------
 *
 * admission.h
 *	  Which results are worth storing, when nobody has asked for them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CK_ADMISSION_H
#define CK_ADMISSION_H

typedef enum CkAdmission
{
	CK_ADMIT_WATCH,				/* not seen before: run it and look */
	CK_ADMIT_STORE,				/* seen before, and worth it */
	CK_ADMIT_SKIP				/* stored in vain before: not this time */
} CkAdmission;

extern Size ck_admission_size(Size budget);
extern void ck_admission_init(void *ptr, Size size, Size budget);
extern void ck_admission_attach(void *ptr, Size size);

extern CkAdmission ck_admission_ask(uint64 hash);
extern void ck_admission_worthy(uint64 hash);
extern void ck_admission_in_vain(uint64 hash);
extern void ck_admission_useful(uint64 hash);

#endif							/* CK_ADMISSION_H */
