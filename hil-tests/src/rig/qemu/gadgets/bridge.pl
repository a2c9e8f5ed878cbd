# Carries bytes between a gadget's device file and a port of the virtual machine: bridge.pl DEVICE PORT
#
# The device file is there while the gadget is plugged in. What was under way when it went is dropped, as by a cable.
# Everything is done without blocking: the kernel's f_printer lets nobody write while somebody waits in a read.
use strict;
use warnings;
use Errno qw(EAGAIN EINTR);
use Fcntl qw(O_NOCTTY O_NONBLOCK O_RDWR);

my ($device_path, $port_path) = @ARGV;
my $port = opened($port_path) or die "$port_path: $!";
while (1) {
    my $device = opened($device_path);
    if ($device) {
        # A terminal that is opened echoes and edits; here it only carries bytes.
        system('stty', '-F', $device_path, 'raw', '-echo') if -t $device;
        carry($device);
        close $device;
    }
    # Nobody is there: what comes meanwhile goes nowhere.
    sysread($port, my $lost, 65_536);
    select undef, undef, undef, 0.05;
}

sub opened {
    my ($path) = @_;
    my $file;
    return sysopen($file, $path, O_RDWR | O_NONBLOCK | O_NOCTTY) ? $file : undef;
}

# Until the device has gone.
sub carry {
    my ($device) = @_;
    my ($to_device, $to_port) = ('', '');
    while (1) {
        my ($read, $write) = ('', '');
        # What cannot be handed on is not taken.
        if ($to_port eq '') { vec($read, fileno $device, 1) = 1 } else { vec($write, fileno $port, 1) = 1 }
        if ($to_device eq '') { vec($read, fileno $port, 1) = 1 } else { vec($write, fileno $device, 1) = 1 }
        select $read, $write, undef, undef;
        if ($to_port eq '') {
            my $count = sysread $device, $to_port, 4_096;
            return if gone($count) || (defined $count && $count == 0);
        }
        if ($to_device eq '') {
            my $count = sysread $port, $to_device, 4_096;
            # Nobody has the port open on the other side.
            select undef, undef, undef, 0.1 if defined $count && $count == 0;
        }
        return if gone(handed_on($device, \$to_device));
        handed_on($port, \$to_port);
    }
}

sub handed_on {
    my ($file, $bytes) = @_;
    return 0 if $$bytes eq '';
    my $count = syswrite $file, $$bytes;
    substr($$bytes, 0, $count) = '' if defined $count;
    return $count;
}

sub gone {
    my ($count) = @_;
    return !defined $count && $! != EAGAIN && $! != EINTR;
}
