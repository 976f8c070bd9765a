# fuzz.pl --seed N --seconds N [--one] [--sessions N] [--settings "SQL"] [--bursts N]
#   Random schemas, keys, queries and writes in several sessions; every answer
#   of the cache is compared with the tables under the same snapshot.
#
# Normally one statement runs at a time, in one of the sessions, whose
# transactions are open side by side; so a seed gives the same run again.  A
# seed that fails is run again with ever fewer statements, and what is left
# printed.  In bursts all sessions run at the same time; what they find can
# only be reported.
#
#   --one       run this seed only
#   --settings  SQL that each session runs first, e.g. to plant a fault
#   --bursts    percent of the seeds that end with a burst (50)
#
# Ends with status 0 if nothing was wrong, 1 if something was, 2 otherwise.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Getopt::Long;
use IO::Handle;
use IPC::Open2;
use Gen;

my %opt = (seed => 1, seconds => 60, sessions => 4, settings => '', bursts => 50);
GetOptions(\%opt, 'seed=i', 'seconds=i', 'one', 'sessions=i', 'settings=s', 'bursts=i')
  or exit 2;

$| = 1;
my @sessions;
my (%count, %errors);
my $marker = 'fuzz-marker-';
my $sent = 0;

# ---------------- sessions ----------------

sub start_session {
  my %s = (in => undef, out => undef, buffer => '');
  $s{pid} = open2($s{out}, $s{in}, 'psql -XqAt -v VERBOSITY=verbose 2>&1') or die "psql: $!";
  return \%s;
}

# Send statements, which may be several in one string.
sub post {
  my ($s, $sql) = @_;
  my $end = $marker . ++$sent;

  print { $s->{in} } "$sql;\n\\echo $end\n";
  $s->{in}->flush;
  push @{ $s->{awaited} }, $end;
}

# The answer to the oldest statement that is on its way.
sub answer {
  my ($s) = @_;
  my $end = shift @{ $s->{awaited} };

  while ($s->{buffer} !~ /^$end$/m) {
    my $n = sysread($s->{out}, $s->{buffer}, 65536, length $s->{buffer});
    die "a session is gone:\n$s->{buffer}\n" unless $n;
  }
  my ($text, $rest) = $s->{buffer} =~ /\A(.*?)^$end\n(.*)\z/ms;
  $s->{buffer} = $rest;
  return $text;
}

sub run {
  my ($n, $sql) = @_;
  post($sessions[$n], $sql);
  return answer($sessions[$n]);
}

sub finish_prepared {
  run(0, "ROLLBACK;\nSELECT format('ROLLBACK PREPARED %L', gid) FROM pg_prepared_xacts \\gexec\nSELECT 1");
}

# ---------------- judging ----------------

# What an answer means: ok, error, wrong.
sub judge {
  my ($text) = @_;

  return 'wrong' if $text =~ /^WRONG/m || $text =~ /XX00[01]/ || $text =~ /server closed/;
  if ($text =~ /(?:ERROR|FATAL):  (\w{5})/) {
    $errors{$1}++;
    return 'error';
  }
  $count{$1}++ if $text =~ /^(hit|miss|bypass)$/m;
  return 'ok';
}

# ---------------- one seed ----------------

# Run the schema of a seed, and what each session starts with.
sub prepare {
  my (@schema) = @_;
  my $text;

  for my $n (0 .. $#sessions) {
    run($n, 'ROLLBACK');
    run($n, "RESET ALL; SET jit = off; SET search_path = f, public; SET lock_timeout = '20ms'; $opt{settings}");
  }
  finish_prepared();
  run(0, 'SET lock_timeout = 0');
  for my $sql (@schema) {
    $text = run(0, $sql);
    die "schema: $sql\n$text\n" if $text =~ /ERROR/;
  }
  run(0, "SET lock_timeout = '20ms'");
}

# What happens next in session $n, given the states of the transactions.
sub next_step {
  my ($state, $n, $pool) = @_;
  my $s = $state->[$n];
  my $k = Gen::num(100);

  if ($s->{failed}) {
    return "ROLLBACK TO s$s->{savepoints}" if $s->{savepoints} && Gen::chance(50);
    return 'ROLLBACK';
  }
  return Gen::ask(Gen::pick(@$pool)) if $k < 55;
  return Gen::write() if $k < 75;
  return Gen::setting() if $k < 79;
  if (!$s->{open}) {
    return 'BEGIN' . Gen::pick('', ' ISOLATION LEVEL REPEATABLE READ', ' ISOLATION LEVEL REPEATABLE READ')
      if $k < 92;
    if ($k < 95 && @{ $state->[-1]{prepared} }) {
      my $gid = shift @{ $state->[-1]{prepared} };
      return Gen::pick('COMMIT', 'COMMIT', 'ROLLBACK') . " PREPARED '$gid'";
    }
    return Gen::ddl() if $k < 98;
    return Gen::write();
  }
  return Gen::pick('COMMIT', 'COMMIT', 'COMMIT', 'ROLLBACK') if $k < 90;
  return 'SAVEPOINT s' . ($s->{savepoints} + 1) if $k < 93;
  return Gen::pick('ROLLBACK TO', 'RELEASE') . " s$s->{savepoints}" if $k < 96 && $s->{savepoints};
  return "PREPARE TRANSACTION 'fuzz_" . ++$state->[-1]{gid} . "'" if $k < 98;
  return Gen::write();
}

# Keep track of the session's transaction.
sub note_step {
  my ($state, $n, $sql, $verdict) = @_;
  my $s = $state->[$n];

  if ($verdict eq 'error') {
    $s->{failed} = 1 if $s->{open};
    %$s = (open => 0, failed => 0, savepoints => 0) if $sql =~ /^(COMMIT|PREPARE)/ && $s->{open};
    return;
  }
  if ($sql =~ /^BEGIN/) { $s->{open} = 1; }
  elsif ($sql =~ /^(COMMIT|ROLLBACK)( PREPARED)?$/ || $sql =~ /^PREPARE TRANSACTION/) {
    push @{ $state->[-1]{prepared} }, $1 if $sql =~ /^PREPARE TRANSACTION '(.*)'/;
    %$s = (open => 0, failed => 0, savepoints => 0);
  }
  elsif ($sql =~ /^SAVEPOINT/) { $s->{savepoints}++; }
  elsif ($sql =~ /^RELEASE/) { $s->{savepoints}--; }
  elsif ($sql =~ /^ROLLBACK TO/) { $s->{failed} = 0; }
}

sub new_state {
  return [ (map { +{ open => 0, failed => 0, savepoints => 0 } } @sessions),
    { gid => 0, prepared => [] } ];
}

# Run the steps again; the number of the first wrong one, or undef.
sub replay {
  my ($schema, $steps) = @_;

  prepare(@$schema);
  for my $i (0 .. $#$steps) {
    my ($n, $sql) = @{ $steps->[$i] };
    return $i if judge(run($n, $sql)) eq 'wrong';
  }
  return undef;
}

# Leave out what can be left out, in pieces of decreasing size.
sub shrink {
  my ($schema, $steps) = @_;
  my $until = time + 60;

  for my $what (1, 0) {         # steps, then the schema
    my $list = $what ? $steps : $schema;
    for (my $size = int(@$list / 2) || 1; $size >= 1; $size = int($size / 2)) {
      for (my $at = $#$list - $size + 1 - $what; $at >= ($what ? 0 : 2); $at -= $size) {
        last if time > $until;
        my @fewer = @$list;
        splice @fewer, $at, $size;
        my $wrong = eval { $what ? replay($schema, \@fewer) : replay(\@fewer, $steps) };
        next unless defined $wrong;
        $list = \@fewer;
        if ($what) { $steps = $list = [ @fewer[ 0 .. $wrong ] ]; $at = @$list if $at > @$list; }
        else { $schema = $list; }
      }
    }
  }
  return ($schema, $steps);
}

sub report {
  my ($seed, $schema, $steps, $text) = @_;

  print "seed $seed: WRONG\n$text\n";
  return if $opt{settings} =~ /debug_fault/ && !$opt{one};
  if (!defined eval { replay($schema, $steps) }) {
    print "It did not happen again; these were the statements:\n";
  } else {
    ($schema, $steps) = shrink($schema, $steps);
  }
  print "$_;\n" for @$schema;
  print "/* session $_->[0] */ $_->[1];\n" for @$steps;
}

# All sessions at once, each on its own; nobody waits for anybody.
sub burst {
  my ($pool) = @_;
  my @wrong;

  for my $n (0 .. $#sessions) {
    run($n, 'ROLLBACK');
    run($n, 'SET cachekit.debug_delay = 300; SET lock_timeout = 0; SET deadlock_timeout = 50');
    for (1 .. 25) {
      my $sql = $n % 2 ? Gen::write() : Gen::ask(Gen::pick(@$pool));
      $sql = "BEGIN ISOLATION LEVEL REPEATABLE READ; $sql; " . Gen::ask(Gen::pick(@$pool)) . '; COMMIT'
        if Gen::chance(20);
      next if $sql =~ /^TRUNCATE/;
      post($sessions[$n], $sql);
    }
  }
  for my $s (@sessions) {
    while (@{ $s->{awaited} }) {
      my $text = answer($s);
      push @wrong, $text if judge($text) eq 'wrong';
    }
  }
  for my $n (0 .. $#sessions) { run($n, 'ROLLBACK; SET cachekit.debug_delay = 0'); }
  return @wrong;
}

sub one_seed {
  my ($seed) = @_;
  my (@steps, @pool);
  my $state;

  srand($seed);
  my @schema = Gen::schema();
  prepare(@schema);
  @pool = map { Gen::query() } 1 .. 10;
  $state = new_state();
  for my $i (1 .. 400) {
    my $n = Gen::num(scalar @sessions);
    my $sql = next_step($state, $n, \@pool);
    my $text = run($n, $sql);
    my $verdict = judge($text);

    $count{statements}++;
    push @steps, [ $n, $sql ];
    if ($verdict eq 'wrong') {
      report($seed, \@schema, \@steps, $text);
      return 0;
    }
    note_step($state, $n, $sql, $verdict);
    $pool[ Gen::num(scalar @pool) ] = Gen::query() if Gen::chance(4);
  }
  if (Gen::chance($opt{bursts})) {
    finish_prepared();
    my @wrong = burst(\@pool);
    if (@wrong) {
      print "seed $seed: WRONG, with all sessions at once\n", @wrong;
      return 0;
    }
  }
  return 1;
}

# ---------------- all ----------------

@sessions = map { start_session() } 1 .. $opt{sessions};
my $until = time + $opt{seconds};
my $seed = $opt{seed};
my $bad = 0;

while (1) {
  my $good = eval { one_seed($seed) };
  if (!defined $good) {
    print "seed $seed: $@";
    exit 2;
  }
  if (!$good) {
    $bad++;
    last if $opt{settings} =~ /debug_fault/ || $bad >= 3;
  }
  $count{seeds}++;
  $seed++;
  last if $opt{one} || time >= $until;
}
finish_prepared();

print join(', ', map { ($count{$_} // 0) . " $_" } qw(seeds statements hit miss bypass)), "\n";
print 'errors: ', join(', ', map { "$_ $errors{$_}" } sort keys %errors), "\n";
exit($bad ? 1 : 0);
