// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Disputes} from "../src/Disputes.sol";
import {Ends} from "../src/Ends.sol";
import {Judge} from "../src/Judge.sol";
import {Lines, Stated} from "../src/Lines.sol";
import {Proofs} from "../src/Proofs.sol";
import {Post, Statement} from "../src/Records.sol";
import {Batch} from "./Batch.sol";

/// What a revision moves beyond the one before: shown by two statements, however many revisions there were.
contract RevisionsTest is Batch {
    Stated[] private before;
    /// Siblings of the place behind the members in revision 0.
    bytes32[] private empty;

    /// Revision 0 is final, with these statements; revision 1 settles less of a trade.
    function revise() private {
        seal();
        for (uint32 m = 0; m < 4; ++m) {
            before.push(statedOf(m));
        }
        empty = statementSiblings(4);
        finalise();
        settled[3] = 100;
        book();
    }

    function earlierOf(uint32 member) private view returns (Stated[] memory list) {
        list = new Stated[](1);
        list[0] = before[member];
    }

    function challenge(uint32 member) private {
        Stated memory s = statedOf(member);
        vm.prank(PROVER);
        disputes.challengeRevision(p, s, deltas, finals[finals.length - 1], earlierOf(member), new bytes32[](0));
    }

    function refuse(Stated memory s, Post memory earlier, Stated[] memory its, bytes memory reason) private {
        vm.expectRevert(reason);
        disputes.challengeRevision(p, s, deltas, earlier, its, new bytes32[](0));
        vm.assertTrue(standing());
    }

    function test_honest_revisions_stand(uint64[3] memory wh) public {
        revise();
        for (uint256 revision = 0; revision < 3; ++revision) {
            settled[revision] = wh[revision] % (trades[revision].wh + 1);
            book();
            state();
            for (uint32 m = 0; m < 4; ++m) {
                bytes memory reason = abi.encodeWithSelector(Lines.NoFault.selector, SLOT, finals.length, m);
                refuse(statedOf(m), finals[revision], earlierOf(m), reason);
                before[m] = statedOf(m);
            }
            finalise();
        }
    }

    function test_a_revision_that_moves_something_else(int32 more) public {
        revise();
        more = more % 1_000_000 == 0 ? int32(1) : more % 1_000_000;
        (changes[0], changes[1]) = (changes[0] + more, changes[1] - more);
        state();
        challenge(0);
        assertStruck();
    }

    /// After any number of revisions, also where their deltas together would be more than a transaction takes.
    function test_after_many_revisions() public {
        revise();
        for (uint64 revision = 0; revision < 20; ++revision) {
            settled[3] = 100 + revision;
            book();
            state();
            for (uint32 m = 0; m < 4; ++m) {
                before[m] = statedOf(m);
            }
            finalise();
        }
        book();
        changes[0] -= 1;
        changes[2] += 1;
        state();
        challenge(2);
        assertStruck();
    }

    /// A member who had no statement before, because it came after the slot.
    function test_a_newcomer_in_a_revision() public {
        revise();
        addMembers(1);
        statements.push(Statement(0, 0, 0, 0, 0, keccak256("newcomer")));
        changes.push(0);
        state();
        Stated memory s = statedOf(4);
        vm.expectRevert(abi.encodeWithSelector(Lines.NoFault.selector, SLOT, 1, 4));
        disputes.challengeRevision(p, s, deltas, finals[0], new Stated[](0), empty);
        // Who has a statement is not taken for one who has none.
        s = statedOf(0);
        bytes32 found = rootFrom(0, 0, before[0].siblings);
        vm.expectRevert(abi.encodeWithSelector(Proofs.NotInTree.selector, finals[0].statements, found, 0));
        disputes.challengeRevision(p, s, deltas, finals[0], new Stated[](0), before[0].siblings);
        fund(4, 10);
        (changes[4], changes[0]) = (-1, changes[0] + 1);
        restate();
        s = statedOf(4);
        vm.prank(PROVER);
        disputes.challengeRevision(p, s, deltas, finals[0], new Stated[](0), empty);
        assertStruck();
    }

    function test_what_is_shown_is_of_the_revision_before_and_of_the_member() public {
        revise();
        changes[0] -= 1;
        changes[2] += 1;
        state();
        Stated memory s = statedOf(0);
        refuse(s, finals[0], earlierOf(2), abi.encodeWithSelector(Ends.OtherMember.selector, 0, 2));
        refuse(s, finals[0], new Stated[](2), abi.encodeWithSelector(Lines.WrongLines.selector, 2, 1));
        refuse(s, p, earlierOf(0), abi.encodeWithSelector(Disputes.ForeignPost.selector, SLOT, 1));
        Post memory other = finals[0];
        other.slot += SLOT_SECONDS;
        refuse(s, other, earlierOf(0), abi.encodeWithSelector(Disputes.ForeignPost.selector, other.slot, 0));
        other = finals[0];
        other.statements = p.statements;
        (bytes32 posted, bytes32 given) = (digestOf(finals[0]), digestOf(other));
        refuse(s, other, earlierOf(0), abi.encodeWithSelector(Judge.NotPending.selector, SLOT, 0, posted, given));
        Stated[] memory its = earlierOf(0);
        its[0].statement.money += 1;
        bytes32 found = rootFrom(hashOf(its[0].statement), 0, its[0].siblings);
        refuse(s, finals[0], its, abi.encodeWithSelector(Proofs.NotInTree.selector, finals[0].statements, found, 0));
        challenge(0);
        assertStruck();
    }

    function test_revision_0_has_none_before() public {
        seal();
        Stated[] memory none = new Stated[](0);
        refuse(statedOf(0), p, none, abi.encodeWithSelector(Disputes.ForeignPost.selector, SLOT, 0));
        Post memory last = p;
        last.revision = type(uint32).max;
        refuse(statedOf(0), last, none, abi.encodeWithSelector(Disputes.ForeignPost.selector, SLOT, last.revision));
    }
}
