SELECT pg_advisory_lock_shared(77);
SELECT check_functions();
SELECT pg_advisory_unlock_shared(77);
\sleep 2 ms
