Feature: The synchronous standby receives and does not replay
  A synchronous standby confirms what it has written down, not what it has replayed. Patroni elects by the position that
  was received, and does not ask how much is left to replay: its REST API shows both, and nobody compares them before a
  promotion.

  # The stuck standby is elected, because it alone may be, and its promotion waits for its replay: as long as that is
  # frozen there is no primary. RPO 0 is kept; RTO is what the replay takes.
  @documented @sync
  @claim:RTO-30 @claim:RPO-0-SYNC @claim:PROMOTE-3-5 @claim:NO-SPLIT-BRAIN
  Scenario: Replay stands still on the synchronous standby and the primary's host dies
    Given the topology "single-region-sync"
    And 4 clients writing 25 rows per second each
    When the startup process on the synchronous standby freezes
    And the host of the primary dies
    And a node has taken the leader key
    And 40 s to 45 s have passed
    And the fault "process_freeze" is healed
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 30 s
    And the promote phase takes at most 5 s
    And no acknowledged write is lost
    And never do two nodes accept writes
