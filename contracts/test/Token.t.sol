// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {WrongNonce} from "../src/Community.sol";
import {CommunityToken} from "../src/CommunityToken.sol";
import {Operators} from "../src/Operators.sol";
import {Mint} from "../src/Records.sol";
import {Base} from "./Base.sol";

contract TokenTest is Base {
    uint256 private constant HOLDER_KEY = 0xB0B;
    uint256 private constant CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
    bytes32 private constant PERMIT =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    function expectMintRevert(Mint memory issue, bytes[] memory signatures, bytes memory reason) private {
        vm.expectRevert(reason);
        token.mint(issue, signatures);
    }

    function test_anybody_may_bring_what_a_quorum_signed(address stranger, uint256 amount) public {
        Mint memory issue = Mint(address(10), amount, 0);
        bytes[] memory signatures = quorum(digestOf(issue));
        vm.prank(stranger);
        token.mint(issue, signatures);
        vm.assertEq(token.balanceOf(address(10)), amount);
        vm.assertEq(token.totalSupply(), amount);
        vm.assertEq(token.mints(), 1);
    }

    function test_one_operator_alone_cannot_mint() public {
        Mint memory issue = Mint(operator, 5, 0);
        bytes[] memory signatures = new bytes[](1);
        signatures[0] = signature(operatorKeys[0], digestOf(issue));
        expectMintRevert(issue, signatures, abi.encodeWithSelector(Operators.TooFewSignatures.selector, 1, 2));
        bytes[] memory twice = new bytes[](2);
        (twice[0], twice[1]) = (signatures[0], signatures[0]);
        expectMintRevert(
            issue, twice, abi.encodeWithSelector(Operators.SignersNotAscending.selector, operator, operator)
        );
    }

    function test_a_record_mints_once_and_in_turn() public {
        Mint memory issue = Mint(address(10), 5, 0);
        bytes[] memory signatures = quorum(digestOf(issue));
        token.mint(issue, signatures);
        expectMintRevert(issue, signatures, abi.encodeWithSelector(WrongNonce.selector, 0, 1));
        issue.nonce = 2;
        expectMintRevert(issue, quorum(digestOf(issue)), abi.encodeWithSelector(WrongNonce.selector, 2, 1));
    }

    /// What was signed for another chain, token or amount recovers to some address or other.
    function test_signatures_count_for_one_record_of_one_token_on_one_chain() public {
        Mint memory issue = Mint(address(10), 5, 0);
        bytes[] memory signatures = quorum(digestOf(issue));
        issue.amount = 6;
        checkRefused(token, issue, signatures);
        issue.amount = 5;
        checkRefused(new CommunityToken(community, "Other", "OTH"), issue, signatures);
        vm.chainId(block.chainid + 1);
        checkRefused(token, issue, signatures);
    }

    function checkRefused(CommunityToken money, Mint memory issue, bytes[] memory signatures) private {
        try money.mint(issue, signatures) {
            vm.assertTrue(false);
        } catch {
            vm.assertEq(money.totalSupply(), 0);
        }
    }

    function test_the_other_signature_with_the_same_meaning_is_refused() public {
        Mint memory issue = Mint(address(10), 5, 0);
        bytes[] memory signatures = quorum(digestOf(issue));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(operatorKeys[0], digestOf(issue));
        s = bytes32(CURVE_ORDER - uint256(s));
        signatures[0] = abi.encodePacked(r, s, v == 27 ? uint8(28) : uint8(27));
        expectMintRevert(issue, signatures, abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureS.selector, s));
    }

    function test_no_more_tokens_than_can_be_counted() public {
        mint(address(10), type(uint256).max);
        Mint memory issue = Mint(address(10), 1, 1);
        expectMintRevert(issue, quorum(digestOf(issue)), abi.encodeWithSignature("Panic(uint256)", 0x11));
        issue.to = address(0);
        expectMintRevert(
            issue,
            quorum(digestOf(issue)),
            abi.encodeWithSelector(IERC20Errors.ERC20InvalidReceiver.selector, address(0))
        );
    }

    function test_holders_burn_what_they_have() public {
        mint(address(this), 5);
        token.burn(2);
        vm.assertEq(token.totalSupply(), 3);
        vm.assertEq(token.decimals(), 6);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientBalance.selector, address(this), 3, 4));
        token.burn(4);
    }

    function test_a_holder_approves_by_signature_once_and_in_time(uint256 amount) public {
        uint256 deadline = block.timestamp + 60;
        bytes32 body =
            keccak256(abi.encode(PERMIT, vm.addr(HOLDER_KEY), address(settlement), amount, uint256(0), deadline));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(HOLDER_KEY, digestOf(body, block.chainid, address(token)));
        token.permit(vm.addr(HOLDER_KEY), address(settlement), amount, deadline, v, r, s);
        vm.assertEq(token.allowance(vm.addr(HOLDER_KEY), address(settlement)), amount);
        try token.permit(vm.addr(HOLDER_KEY), address(settlement), amount, deadline, v, r, s) {
            vm.assertTrue(false);
        } catch (bytes memory reason) {
            vm.assertEq(bytes32(bytes4(reason)), bytes32(ERC20Permit.ERC2612InvalidSigner.selector));
        }
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(ERC20Permit.ERC2612ExpiredSignature.selector, deadline));
        token.permit(vm.addr(HOLDER_KEY), address(settlement), amount, deadline, v, r, s);
    }
}
