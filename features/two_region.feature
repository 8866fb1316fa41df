Feature: Two regions
  Document 000: a Patroni cluster in one region, and a standby cluster in another one that streams from it over a WAN link
  and refuses writes. A failure inside the first region must not reach the second, and the second must not lose its place
  in the WAL.

  @documented @two_region
  @claim:SLOT-HOLDS @claim:WRITE-BLOCKED @claim:SAME-SCOPE @claim:NO-SPLIT-BRAIN @claim:XLAG-STREAM
  Scenario: The primary's host dies, and the other region follows the new primary
    Given the topology "two-region"
    And 4 clients writing 25 rows per second each
    When the host of the primary of east dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then never do two nodes accept writes
    And the region that follows accepts no write
    And the slot of the region that follows is never lost
    And the reads of a session never go back

  # A slot that no configuration names: standbys drop their copies of it, and a new primary does not have it. West can't stream
  # until the operator names it again, and nothing held the WAL meanwhile.
  @documented @two_region @control:slot
  Scenario: The slot of the other region is taken out of the configuration before the primary dies
    Given the topology "two-region"
    And 4 clients writing 25 rows per second each
    When the fault "configuration_change" hits the primary of east
      | key   | slots.standby_cluster |
      | value | null                  |
    And 21 s to 25 s have passed
    And the host of the primary of east dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then the slot of the region that follows is never lost
