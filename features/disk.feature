Feature: Disks
  A database promises what its disk keeps. Here the data directories are on disks that forget what was not synced, fill
  up, stall and fail.

  # Synced is kept: PostgreSQL syncs its WAL before it acknowledges, so a standby that takes over may lose what it had
  # not received, and the old primary nothing that it had acknowledged.
  @documented @disk
  @claim:NO-SPLIT-BRAIN @claim:RPO-5-ASYNC
  Scenario: The primary loses its power
    Given the topology "single-region"
    And the disks can fail
    And 4 clients writing 25 rows per second each
    When the power of the primary fails
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes

  # Everything loses its power at once, and nobody can take over: what was acknowledged must be on the disks.
  @documented @disk
  @claim:NO-SPLIT-BRAIN
  Scenario: Every host loses its power and all come back
    Given the topology "single-region"
    And the disks can fail
    And 4 clients writing 25 rows per second each
    When the power of every host fails
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then no acknowledged write is lost
    And never do two nodes accept writes

  # The same with fsync off: acknowledged is not kept, and the check must say so. It does not wait for the standbys, because
  # what they have on their disks is damaged, and they do not start again.
  @documented @disk @control:data_loss
  Scenario: Every host loses its power with fsync off
    Given the topology "single-region"
    And the PostgreSQL parameter "fsync" is "off"
    And the disks can fail
    And 4 clients writing 25 rows per second each
    When the power of every host fails
    And the fault is healed
    And clients can write again
    Then no acknowledged write is lost
    And never do two nodes accept writes

  @documented @disk
  @claim:RTO-30 @claim:NO-SPLIT-BRAIN
  Scenario: The primary's WAL volume is full
    Given the topology "single-region"
    And the disks can fail
    And 4 clients writing 25 rows per second each
    When the WAL volume of the primary is full
    And 20 s to 30 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 30 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  @documented @disk
  @claim:NO-SPLIT-BRAIN
  Scenario: The primary's disk stalls
    Given the topology "single-region"
    And the disks can fail
    And 4 clients writing 25 rows per second each
    When the data volume of the primary stalls
    And 40 s to 50 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then never do two nodes accept writes

  # A standby that can't write what it receives ends, and comes back with its room. Nobody who writes notices.
  @documented @disk
  @claim:NO-SPLIT-BRAIN
  Scenario: A standby's WAL volume is full
    Given the topology "single-region"
    And the disks can fail
    And 4 clients writing 25 rows per second each
    When the WAL volume of a standby is full
    And 20 s to 30 s have passed
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 1 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  # A member that leads etcd has to write before it waits for its disk: until then it leads on, and nobody looks for another leader. The database
  # notices nothing: an agent that gets no answer within a third of retry_timeout asks another member.
  @nightly @disk
  @claim:NO-SPLIT-BRAIN
  Scenario: The disk of the etcd leader stalls
    Given the topology "single-region"
    And the disks can fail
    And 4 clients writing 25 rows per second each
    When the DCS volume of the etcd leader stalls
    And 30 s to 40 s have passed
    And the fault is healed
    And every node has rejoined
    Then the DCS has a leader again within 15 s
    And clients can't write for at most 1 s
    And the primary stays
    And no acknowledged write is lost
    And never do two nodes accept writes
