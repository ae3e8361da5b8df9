#!/usr/bin/perl
# Prints what SpamAssassin itself finds, with local tests only:
#   reference.pl SITE-RULES ROOT < list of paths below ROOT
# one line a message: path, tab, score, tab, RULE=count of every rule that hit,
# also those that only serve others.
use strict;
use warnings;
use File::Temp qw(tempdir);
use Mail::SpamAssassin;

my ($site, $root) = @ARGV;
my $state = tempdir(CLEANUP => 1);
my $sa = Mail::SpamAssassin->new({
    rules_filename       => '/usr/share/spamassassin',
    site_rules_filename  => $site,
    local_tests_only     => 1,
    dont_copy_prefs      => 1,
    userprefs_filename   => '/dev/null',
    userstate_dir        => $state,
    home_dir_for_helpers => $state,
    post_config_text     => "use_bayes 0\nuse_pyzor 0\nuse_razor2 0\ndns_available no\n",
});
$sa->init(1);
while (my $path = <STDIN>) {
    chomp $path;
    open my $f, '<:raw', "$root/$path" or die "$root/$path: $!";
    my $raw = do { local $/; <$f> };
    close $f;
    my $mail   = $sa->parse($raw, 0);
    my $status = $sa->check($mail);
    my $hit    = $status->{tests_already_hit};
    print join("\t", $path, sprintf('%.3f', $status->get_score),
        join(' ', map { "$_=$hit->{$_}" } sort grep { $hit->{$_} } keys %$hit)), "\n";
    $status->finish;
    $mail->finish;
}
