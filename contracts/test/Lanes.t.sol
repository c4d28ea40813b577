// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Lanes} from "../src/Lanes.sol";
import {Base} from "./Base.sol";

/// The library behind external functions, as deltas live in calldata.
contract Book {
    using Lanes for Lanes.Book;

    Lanes.Book private _book;

    function move(uint32 member, int256 delta) external {
        _book.move(member, delta);
    }

    function check(bytes calldata deltas, uint256 members) external pure {
        Lanes.check(deltas, members);
    }

    function applyAll(bytes calldata deltas) external {
        _book.applyAll(deltas);
    }

    function balanceOf(uint32 member) external view returns (uint64) {
        return _book.balanceOf(member);
    }

    /// The word in storage slot 0.
    function firstWord() external view returns (uint256 word) {
        assembly {
            word := sload(0)
        }
    }
}

contract LanesTest is Base {
    uint64 private constant FULL = type(uint64).max;
    Book private book = new Book();

    function setUp() public override {}

    function test_lane_zero_is_the_most_significant() public {
        for (uint32 member = 0; member < 4; ++member) {
            book.move(member, int256(uint256(member + 1)));
        }
        vm.assertEq(book.firstWord(), 0x0000000000000001000000000000000200000000000000030000000000000004);
    }

    function test_deltas_read_like_lanes() public {
        book.move(1, 5);
        book.applyAll(hex"00000001fffffffb0000000300000004");
        vm.assertEq(book.firstWord(), 0x0000000000000001000000000000000000000000000000030000000000000004);
    }

    function test_bytes_after_the_deltas_are_not_deltas() public {
        // One delta of 7; the rest of its 32-byte place in calldata is dirty instead of zero.
        bytes memory call =
            abi.encodePacked(Book.applyAll.selector, uint256(32), uint256(4), hex"00000007", type(uint224).max);
        (bool done,) = address(book).call(call);
        vm.assertTrue(done);
        vm.assertEq(book.firstWord(), uint256(7) << 192);
        (done,) = address(book)
            .call(
                abi.encodePacked(
                    Book.check.selector, uint256(64), uint256(1), uint256(4), hex"00000000", type(uint224).max
                )
            );
        vm.assertTrue(done);
    }

    function test_lanes_hold_exactly_a_uint64() public {
        book.move(2, int256(uint256(FULL)));
        vm.expectRevert(abi.encodeWithSelector(Lanes.LaneOverflow.selector, 2, FULL, 1));
        book.applyAll(hex"000000000000000000000001");
        book.move(2, -int256(uint256(FULL)));
        vm.expectRevert(abi.encodeWithSelector(Lanes.InsufficientCollateral.selector, 2, 0, -1));
        book.applyAll(hex"0000000000000000ffffffff");
        vm.assertEq(book.firstWord(), 0);
    }

    function test_errors_name_the_member_beyond_the_first_word() public {
        int32[] memory deltas = new int32[](10);
        deltas[9] = type(int32).min;
        vm.expectRevert(abi.encodeWithSelector(Lanes.InsufficientCollateral.selector, 9, 0, int256(type(int32).min)));
        book.applyAll(pack(deltas));
    }

    function test_check_knows_length_and_sum() public {
        book.check("", 0);
        book.check(hex"00000001ffffffff", 2);
        vm.expectRevert(abi.encodeWithSelector(Lanes.DeltasMisaligned.selector, 7));
        book.check(hex"00000001ffffff", 2);
        vm.expectRevert(abi.encodeWithSelector(Lanes.DeltasTooLong.selector, 12, 2));
        book.check(hex"00000001ffffffff00000000", 2);
        vm.expectRevert(abi.encodeWithSelector(Lanes.DeltasNotZeroSum.selector, -1));
        book.check(hex"00000001fffffffe", 2);
    }

    function test_a_sum_of_2_to_the_32_is_not_zero() public {
        vm.expectRevert(abi.encodeWithSelector(Lanes.DeltasNotZeroSum.selector, int256(1) << 32));
        book.check(hex"7fffffff7fffffff00000002", 3);
        vm.expectRevert(abi.encodeWithSelector(Lanes.DeltasNotZeroSum.selector, -(int256(1) << 32)));
        book.check(hex"8000000080000000", 2);
    }

    /// Packed arithmetic equals arithmetic member by member.
    function testFuzz_apply_is_member_by_member(int32[] memory deltas) public {
        int256 sum = 0;
        for (uint32 i = 0; i < deltas.length; ++i) {
            book.move(i, int256(1) << 31);
            sum += deltas[i];
        }
        bytes memory packed = pack(deltas);
        book.applyAll(packed);
        for (uint32 i = 0; i < deltas.length; ++i) {
            vm.assertEq(book.balanceOf(i), uint256((int256(1) << 31) + deltas[i]));
        }
        vm.assertEq(book.balanceOf(uint32(deltas.length)), 0);
        if (sum != 0) vm.expectRevert(abi.encodeWithSelector(Lanes.DeltasNotZeroSum.selector, sum));
        book.check(packed, deltas.length);
    }

    /// A move touches one lane, and fails exactly when the result is no uint64.
    function testFuzz_move_touches_one_lane(uint64 balance, int128 delta, uint8 member) public {
        uint32 below = uint32(member);
        book.move(below, 11);
        book.move(below + 1, int256(uint256(balance)));
        book.move(below + 2, 13);
        int256 expected = int256(uint256(balance)) + delta;
        if (expected < 0) {
            vm.expectRevert(abi.encodeWithSelector(Lanes.InsufficientCollateral.selector, below + 1, balance, delta));
        } else if (expected > int256(uint256(FULL))) {
            vm.expectRevert(abi.encodeWithSelector(Lanes.LaneOverflow.selector, below + 1, balance, delta));
        } else {
            balance = uint64(uint256(expected));
        }
        book.move(below + 1, delta);
        vm.assertEq(book.balanceOf(below), 11);
        vm.assertEq(book.balanceOf(below + 1), balance);
        vm.assertEq(book.balanceOf(below + 2), 13);
    }
}
